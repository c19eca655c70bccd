"""Where a graph of torch.fx depends on whether its module is in training.

torch.fx runs a module on symbols, but ``self.training`` is an ordinary truth value while it does:
what is written down holds for one of the two modes alone. So a module is traced in both, and where
the two graphs differ in a truth value alone, what depends on the mode is known.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from branchsearch.backbones.chain import NotCuttable


class _Training:
    """Stands in a graph for the mode; source made of the graph reads it off its own module."""

    def __repr__(self) -> str:
        return "self.training"


def follow_training(
    training: Sequence[fx.Node], evaluation: Sequence[fx.Node], whole: nn.Module
) -> None:
    """Write ``self.training`` into a graph where it was true while the graph was traced.

    Args:
        training: Nodes in order, as traced in training mode; they are changed.
        evaluation: The same ones, as traced in evaluation mode.
        whole: The module that was traced.

    Raises:
        NotCuttable: The two differ in something else; with the first node that does.
    """
    number = {node: place for place, node in enumerate(training)}
    number |= {node: place for place, node in enumerate(evaluation)}
    for ours, theirs in zip(training, evaluation, strict=False):
        a, b = _leaves(ours), _leaves(theirs)
        modes = [one is True and other is False for one, other in zip(a, b, strict=False)]
        alike = [_same(*pair, number) for pair in zip(a, b, strict=False)]
        alike = [same or mode for same, mode in zip(alike, modes, strict=True)]
        if len(a) != len(b) or not all(alike) or not _same_call(ours, theirs, whole):
            raise _differs(ours)
        _refill(ours, [_Training() if mode else leaf for mode, leaf in zip(modes, a, strict=True)])
    if len(training) != len(evaluation):
        longer = max(training, evaluation, key=len)
        raise _differs(longer[min(len(training), len(evaluation))])


def _differs(node: fx.Node) -> NotCuttable:
    return NotCuttable(
        f"what {node.name!r} does in training and in evaluation differs in more than a truth value "
        "that is self.training, so it cannot be written down"
    )


def _leaves(node: fx.Node) -> list[Any]:
    """What a node is called with, out of all lists and mappings."""
    found: list[Any] = []
    map_aggregate((node.args, node.kwargs), found.append)
    return found


def _refill(node: fx.Node, leaves: Sequence[Any]) -> None:
    left = iter(leaves)
    node.args, node.kwargs = map_aggregate((node.args, node.kwargs), lambda _: next(left))


def _same(ours: object, theirs: object, number: dict[fx.Node, int]) -> bool:
    if isinstance(ours, fx.Node) and isinstance(theirs, fx.Node):
        return number.get(ours) == number.get(theirs)
    return type(ours) is type(theirs) and ours == theirs


def _same_call(ours: fx.Node, theirs: fx.Node, whole: nn.Module) -> bool:
    if ours.op != theirs.op or list(ours.kwargs) != list(theirs.kwargs):
        return False
    if ours.op != "get_attr":
        return bool(ours.target == theirs.target)
    # a constant that the module makes itself is made, and named, anew by every tracing
    a, b = (attribute(whole, str(node.target)) for node in (ours, theirs))
    return a is b or (isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a, b))


def attribute(whole: nn.Module, target: str) -> Any:  # noqa: ANN401  # a module, a weight or a buffer
    """What a module, or one inside it, has under a name with dots."""
    found: Any = whole
    for name in target.split("."):
        found = getattr(found, name)
    return found
