"""Each task weighed by how sure the network is of it, which is learnt.

Source: A. Kendall, Y. Gal and R. Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses
for Scene Geometry and Semantics", CVPR 2018, section 3.2, with s = log σ² as they train it.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.train.balancing.balancing import Step, labelled, stacked


def uncertainty(weights: Mapping[str, float]) -> nn.Module:
    """Learn a log variance s per task, from 0: the sum of (weight · loss · exp(-s) + s) / 2."""
    return _Uncertainty(weights)


class _Uncertainty(nn.Module):
    weights: Tensor

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self._tasks = tuple(weights)
        self.register_buffer("weights", torch.tensor(list(weights.values())), persistent=False)
        self.log_variances = nn.Parameter(torch.zeros(len(weights)))

    def needs_whole(self, step: Step) -> bool:  # noqa: ARG002
        return True

    def forward(self, losses: Mapping[str, Tensor], step: Step) -> Float[Tensor, ""]:  # noqa: ARG002
        values = stacked(losses, self._tasks)
        terms = self.weights * values * (-self.log_variances).exp() + self.log_variances
        return (terms * labelled(values)).sum() / 2
