"""The copies of stages and the heads of a network, under the names of the exported class."""

from torch import Tensor, nn

from branchsearch.export.names import Names
from branchsearch.model.branched import BranchedNetwork, BranchedStage


def parts(network: BranchedNetwork) -> dict[str, nn.Module]:
    """Every module that the exported class holds: stage after stage, then the heads."""
    names = Names.of(network.tree)
    named: dict[str, nn.Module] = {}
    for stage, of_stage in zip(network.stages, names.stages, strict=True):
        assert isinstance(stage, BranchedStage)
        named |= dict(zip(of_stage, stage.copies, strict=True))
    return named | dict(zip(names.heads.values(), network.heads, strict=True))


def exported_state(network: BranchedNetwork) -> dict[str, Tensor]:
    """Every parameter and buffer by its exported name, on the CPU, each in memory of its own.

    A weight that two parts share is written once for each.
    """
    return {
        f"{part}.{name}": tensor.detach().to("cpu", copy=True).contiguous()
        for part, module in parts(network).items()
        for name, tensor in module.state_dict().items()
    }
