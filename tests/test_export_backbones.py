import json
from pathlib import Path

import pytest
import torch

from branchsearch import catalog
from branchsearch.backbones.backbone import Backbone
from branchsearch.export.classes import arguments, excerpt
from branchsearch.export.folder import export
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import DenseHead
from branchsearch.task import Direction, Task
from branchsearch.tree import Tree
from tests.backbones import FX, Example

TASKS = [
    Task("depth", "depth", "rmse", Direction.MINIMIZE),
    Task("normals", "normals", "angular_error", Direction.MINIMIZE),
]
EXAMPLES = [
    Example("resnet10"),
    *FX,
    Example("timm:mobilenetv3_small_100"),
    Example(
        "timm:swin_tiny_patch4_window7_224",
        {"arguments": {"img_size": [32, 64], "window_size": 4, "depths": [1, 1, 1, 1]}},
    ),
    Example("timm:vit_tiny_patch16_224", {"arguments": {"img_size": [32, 64], "depth": 4}}),
]

#: Their places in the image are learnt, or their windows are counted.
ONE_SIZE = ("timm:swin_tiny_patch4_window7_224", "timm:vit_tiny_patch16_224")

#: The others take ten seconds and more; one of timm is made in test_export_graphs.py.
AS_GRAPH = ("resnet10", "fx:tests.own_net:Net")


def network_of(backbone: Backbone) -> BranchedNetwork:
    """Parted at the last stage, no two copies alike."""
    stages = len(backbone.stages)
    tree = Tree.parse(" > ".join(["depth+normals"] * (stages - 1) + ["depth,normals"]))
    channels = backbone.stages[-1].channels
    heads = {task.name: DenseHead(channels, task.outputs) for task in TASKS}
    network = BranchedNetwork(tree, backbone.modules, heads)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.01 * torch.randn(weight.shape)
    return network.eval()


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_exported_network_is_proven_without_branchsearch(example: Example, tmp_path: Path):
    torch.manual_seed(0)
    folder = export(
        tmp_path / "network",
        network=network_of(example.build()),
        tasks=TASKS,
        size=example.size,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        facts={},
        formats=["pt2"] if example.name in AS_GRAPH else [],
    )
    described = json.loads((folder / "model.json").read_text())
    assert described["input"]["other_sizes"] == (example.name not in ONE_SIZE)
    for graph in described["graphs"]:
        assert ("height" in graph["dynamic"]) == described["input"]["other_sizes"]
    source, card = ((folder / name).read_text() for name in ("model.py", "README.md"))
    of_timm = example.name.startswith("timm:")
    assert ("import timm" in source) == of_timm
    assert f"only {'timm and torch' if of_timm else 'torch'}, and safetensors" in source
    assert ("`timm`" in card) == of_timm
    licence = (folder / "LICENSE").read_text()
    assert ("of timm, Apache License 2.0" in licence) == of_timm
    assert ("not branchsearch's" in licence) == example.name.startswith("fx:")


@pytest.mark.parametrize("name", [n for n in catalog.names("backbone") if not n.endswith(":")])
def test_the_source_of_every_built_in_backbone_stands_alone(name: str):
    args = {"channels": [4, 6]} if name == "resnet" else {}
    stages = catalog.find("backbone", name)(**args).modules
    found = excerpt(dict.fromkeys(map(type, stages)), {})
    assert {one.root for one in found.imports} <= {"torch", "collections"}
    for stage in stages:
        again = type(stage)(**{key: eval(text) for key, text in arguments(stage).items()})
        shapes = {name: value.shape for name, value in again.state_dict().items()}
        assert shapes == {name: value.shape for name, value in stage.state_dict().items()}
