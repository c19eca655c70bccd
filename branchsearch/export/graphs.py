"""A network as a graph that torch runs without its source: ``model.pt2``, by torch.export.

A graph is for predicting alone. It takes what ``prepare`` gives, float32, and gives float32,
whatever it computes in. Batch, height and width stay open where the network allows it.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from copy import deepcopy
from itertools import product

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbols
from torch.nn.utils.fusion import fuse_conv_bn_weights

from branchsearch.model.branched import BranchedNetwork

#: Batch sizes that a graph must take: of one image, torch.export likes to make a rule.
_BATCHES = (1, 5)


class NotTraceable(ValueError):
    """torch.export makes no graph of a network that takes a batch of any size."""


def at_rest(network: BranchedNetwork) -> BranchedNetwork:
    """A copy on the CPU, ready to predict, its weights in the order of its source."""
    reference = deepcopy(network).to("cpu").eval()
    for parameter in reference.parameters():
        # trained with channels last, it would round otherwise than the exported one
        parameter.data = parameter.data.contiguous()
    return reference


def other_sizes(network: nn.Module, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Heights and widths beside its own that a network takes, to try a graph on.

    Args:
        network: In evaluation mode.
        size: Its own.

    Returns:
        Twice the size, then a size that no stride divides; empty where not even the first goes.
    """
    height, width = size
    found = []
    for other in ((2 * height, 2 * width), (height + 7, width + 9)):
        try:
            with torch.no_grad():
                network(torch.zeros(1, 3, *other))
        except (AssertionError, RuntimeError, ValueError):  # what torch and timm say of a size
            break
        found.append(other)
    return found


def trace(
    network: nn.Module, size: tuple[int, int], others: Sequence[tuple[int, int]]
) -> tuple[ExportedProgram, tuple[str, ...]]:
    """Make the graph of a network, with as much left open as the network allows.

    Args:
        network: In evaluation mode; gives a tensor per task.
        size: Height and width of its images.
        others: Further ones that it takes.

    Returns:
        The graph; and which of ``batch``, ``height`` and ``width`` are open in it.

    Raises:
        NotTraceable: No graph takes batches of any size.
    """
    reason = ""
    for open_size, oblivious in product([True, False] if others else [False], [True, False]):
        shapes = [(batch, *size) for batch in _BATCHES]
        shapes += [(1, *other) for other in others] if open_size else []
        try:
            graph = _export(network, size, open_size=open_size, oblivious=oblivious)
            _try(graph, shapes)
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            continue
        return graph, ("batch", "height", "width") if open_size else ("batch",)
    raise NotTraceable(f"torch.export makes no graph of this network for any batch: {reason}")


def _export(
    network: nn.Module, size: tuple[int, int], *, open_size: bool, oblivious: bool
) -> ExportedProgram:
    open_ = {0: Dim.DYNAMIC, **({2: Dim.AUTO, 3: Dim.AUTO} if open_size else {})}
    with ExitStack() as stack:
        if oblivious and hasattr(symbols, "backed_size_oblivious"):
            # else a size of 1 somewhere inside becomes a rule about the images' size
            stack.enter_context(symbols.patch(backed_size_oblivious=True))  # type: ignore[attr-defined]
        return torch.export.export(
            network, (torch.zeros(2, 3, *size),), dynamic_shapes=(open_,), strict=False
        )


def _try(graph: ExportedProgram, shapes: Sequence[tuple[int, int, int]]) -> None:
    module = graph.module()
    with torch.no_grad():
        for batch, height, width in shapes:
            module(torch.zeros(batch, 3, height, width))


class Half(nn.Module):
    """A network in float16, between float32 images and float32 predictions.

    Args:
        network: In evaluation mode; copied.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = deepcopy(network).half()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """From [batch, 3, H, W] to a tensor per task."""
        predicted: dict[str, Tensor] = self.network(images.half())
        return {task: prediction.float() for task, prediction in predicted.items()}


def fused(graph: ExportedProgram) -> nn.Module:
    """The module of a graph, in which no batch norm is left that follows a convolution alone.

    Its numbers go into the convolution's weights. What is left of the others stays.
    """
    module = graph.module()
    assert isinstance(module, fx.GraphModule)  # torch.export gives one
    for convolution, norm in list(_pairs(module.graph)):
        weight, bias = _fused(module, convolution, norm)
        for name, value in (("weight", weight), ("bias", bias)):
            module.register_parameter(f"{norm.name}_{name}", value)
        with module.graph.inserting_before(convolution):
            held = [module.graph.get_attr(f"{norm.name}_{name}") for name in ("weight", "bias")]
        convolution.args = (convolution.args[0], *held, *convolution.args[3:])
        norm.replace_all_uses_with(convolution)
        module.graph.erase_node(norm)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module


def _pairs(graph: fx.Graph) -> Iterator[tuple[fx.Node, fx.Node]]:
    for norm in graph.nodes:
        if norm.target is torch.ops.aten.batch_norm.default:
            convolution = norm.args[0]
            if convolution.target is torch.ops.aten.conv2d.default and len(convolution.users) == 1:
                yield convolution, norm


def _fused(
    module: fx.GraphModule, convolution: fx.Node, norm: fx.Node
) -> tuple[nn.Parameter, nn.Parameter]:
    _, weight, *rest = convolution.args
    _, scale, shift, mean, variance, _, _, epsilon, *_ = norm.args
    assert isinstance(epsilon, float)
    fused_weight, fused_bias = fuse_conv_bn_weights(
        _value(module, weight),
        _value_or_none(module, rest[0] if rest else None),
        _value(module, mean),
        _value(module, variance),
        epsilon,
        _value_or_none(module, scale),
        _value_or_none(module, shift),
    )
    return nn.Parameter(fused_weight), nn.Parameter(fused_bias)


def _value(module: fx.GraphModule, node: object) -> Tensor:
    """What the module holds under the name that a node gets."""
    assert isinstance(node, fx.Node)
    held: object = module
    for name in str(node.target).split("."):
        held = getattr(held, name)
    assert isinstance(held, Tensor)
    return held


def _value_or_none(module: fx.GraphModule, node: object) -> Tensor | None:
    return None if node is None else _value(module, node)
