"""Every task starts with a loss of 1.

What matters most in practice is that the losses are of one magnitude: S. Vandenhende et al.,
"Multi-Task Learning for Dense Prediction Tasks: A Survey", TPAMI 2021, section 5.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.train.balancing.balancing import Step, stacked, summed


def equal_start(weights: Mapping[str, float]) -> nn.Module:
    """Divide every task's loss by its first one, so that no unit decides; then weigh."""
    return _EqualStart(weights)


class _EqualStart(nn.Module):
    first: Tensor

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self._weights = dict(weights)
        self.register_buffer("first", torch.zeros(len(weights)))  # 0: not seen yet

    def forward(self, losses: Mapping[str, Tensor], step: Step) -> Float[Tensor, ""]:  # noqa: ARG002
        now = stacked(losses, list(self._weights)).detach()
        self.first.copy_(torch.where(self.first == 0, now, self.first))
        by = torch.where(self.first == 0, 1, self.first).unbind()
        return summed(
            weight * (losses[task] / first)
            for (task, weight), first in zip(self._weights.items(), by, strict=True)
        )
