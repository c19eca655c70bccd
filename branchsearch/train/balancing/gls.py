"""Geometric loss: the same relative progress counts the same in every task.

Source: S. Chennupati et al., "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss
Strategy for Multi-Task Learning", CVPR Workshops 2019, section 3.2.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.train.balancing.balancing import Step, labelled, stacked


def gls(weights: Mapping[str, float]) -> nn.Module:
    """The geometric mean of the losses of tasks with labels; weights are exponents."""
    return _Geometric(weights)


class _Geometric(nn.Module):
    weights: Tensor

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self._tasks = tuple(weights)
        self.register_buffer("weights", torch.tensor(list(weights.values())), persistent=False)

    def needs_whole(self, step: Step) -> bool:  # noqa: ARG002
        return True

    def forward(self, losses: Mapping[str, Tensor], step: Step) -> Float[Tensor, ""]:  # noqa: ARG002
        values = stacked(losses, self._tasks)
        there = labelled(values)
        exponents = self.weights * there
        # the logarithm of 1 where nothing is: that of 0 has no finite gradient to be masked
        logarithms = torch.where(there, values, 1).log()
        mean = (exponents * logarithms).sum() / exponents.sum().clamp(min=1e-12)
        return mean.exp() * there.any()
