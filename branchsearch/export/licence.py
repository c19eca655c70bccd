"""What an exported folder says about rights: whose source and whose weights are in it."""

import sys

from torch import nn

from branchsearch.export.templates import render
from branchsearch.model.branched import BranchedNetwork, BranchedStage

#: In the module of a network that was exported before: what ``LICENSE`` said there.
RIGHTS = "__rights__"


def licence(network: BranchedNetwork) -> str:
    """Write ``LICENSE``; for a network that was exported before, again what it said."""
    modules = {type(copy).__module__ for stage in network.stages for copy in _copies(stage)}
    for module in modules:
        if rights := getattr(sys.modules.get(module), RIGHTS, None):
            return str(rights)
    kinds = {_backbone(copy) for stage in network.stages for copy in _copies(stage)}
    return render("licence.txt.jinja", backbones=sorted(kinds))


def _copies(stage: nn.Module) -> nn.ModuleList:
    assert isinstance(stage, BranchedStage)  # ModuleList does not say what it holds
    return stage.copies


def _backbone(stage: nn.Module) -> str:
    """What is to be said of the package that a stage's class comes from."""
    package = type(stage).__module__
    if package == "branchsearch.backbones.timm_stages":
        return _of_timm(str(stage.model))
    if package.startswith("branchsearch."):
        return (
            "The source of the stages is branchsearch's, Apache License 2.0\n"
            "(https://www.apache.org/licenses/LICENSE-2.0). If training began from a file of\n"
            "weights, what their author asks of derived ones holds for weights.safetensors."
        )
    return (
        f"The source of the stages ({type(stage).__name__}) is not branchsearch's: its author's\n"
        "terms hold for it, and for weights that training began from."
    )


def _of_timm(model: str) -> str:
    import timm  # a stage of it is there, so it is

    known = timm.get_pretrained_cfg(model)
    stated = getattr(known, "license", None)
    weights = (
        f"its pretrained weights are under {stated!r}"
        if stated
        else "it states no licence of its pretrained weights"
    )
    return (
        f"The stages are made of {model} of timm, Apache License 2.0, which model.py imports\n"
        "(https://github.com/huggingface/pytorch-image-models). Of that model timm says:\n"
        f"{weights}.\nThat holds for weights.safetensors where training began from them."
    )
