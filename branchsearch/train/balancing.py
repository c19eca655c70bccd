"""How the tasks' losses become the one number that is trained on.

A balancing takes the losses of a batch, by task, and gives their weighted sum.
"""

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor

Balancing = Callable[[Mapping[str, Float[Tensor, ""]]], Float[Tensor, ""]]


def fixed(weights: Mapping[str, float]) -> Balancing:
    """Weigh the tasks by given positive factors."""

    def total(losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        return _sum({task: weights[task] * loss for task, loss in losses.items()})

    return total


def equal_start(weights: Mapping[str, float]) -> Balancing:
    """Divide every task's loss by its first one, so that no unit decides; then weigh.

    What matters most in practice is that the losses are of one magnitude (survey, TPAMI 2021).
    """
    first: dict[str, float] = {}

    def total(losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        for task, loss in losses.items():
            if task not in first and loss.item() > 0:
                first[task] = loss.item()
        scaled = {task: loss / first.get(task, 1.0) for task, loss in losses.items()}
        return _sum({task: weights[task] * loss for task, loss in scaled.items()})

    return total


def _sum(losses: Mapping[str, Tensor]) -> Tensor:
    first, *others = losses.values()
    for loss in others:
        first = first + loss
    return first
