"""Given weights."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.train.balancing.balancing import Step, summed


def fixed(weights: Mapping[str, float]) -> nn.Module:
    """Weigh the tasks by given positive factors."""
    return _Fixed(weights)


class _Fixed(nn.Module):
    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self._weights = dict(weights)

    def forward(self, losses: Mapping[str, Tensor], step: Step) -> Float[Tensor, ""]:  # noqa: ARG002
        return summed(self._weights[task] * loss for task, loss in losses.items())
