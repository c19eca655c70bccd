"""Every task starts with a loss of 1.

What matters most in practice is that the losses are of one magnitude: S. Vandenhende et al.,
"Multi-Task Learning for Dense Prediction Tasks: A Survey", TPAMI 2021, section 5.

A first batch with next to no labels, or with hardly a pixel of a rare class, may give a first loss
that is far too small. So in the first epoch, while losses are those of a network that knows little,
no loss may be more than ``MOST`` times its first one: that one is raised.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.train.balancing.balancing import Step, stacked, summed

#: Of a loss of the first epoch, in first losses; ordinary ones fall: 1.04 in one on ``scenes``.
MOST = 4.0


def equal_start(weights: Mapping[str, float]) -> nn.Module:
    """Divide every task's loss by its first one, so that no unit decides; then weigh."""
    return _EqualStart(weights)


class _EqualStart(nn.Module):
    first: Tensor

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self._weights = dict(weights)
        self.register_buffer("first", torch.zeros(len(weights)))  # 0: not seen yet

    def needs_whole(self, step: Step) -> bool:
        return step.epoch == 1

    def forward(self, losses: Mapping[str, Tensor], step: Step) -> Float[Tensor, ""]:
        now = stacked(losses, list(self._weights)).detach()
        first = torch.where(self.first == 0, now, self.first)
        self.first.copy_(first.maximum(now / MOST) if step.epoch == 1 else first)
        by = torch.where(self.first == 0, 1, self.first).unbind()
        return summed(
            weight * (losses[task] / first)
            for (task, weight), first in zip(self._weights.items(), by, strict=True)
        )
