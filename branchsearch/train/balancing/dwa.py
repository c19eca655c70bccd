"""Dynamic weight average: more weight to tasks whose loss falls slowly.

Source: S. Liu, E. Johns and A. J. Davison, "End-to-End Multi-Task Learning with Attention", CVPR
2019, section 3.2.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.train.balancing.balancing import Step, labelled, stacked


def dwa(weights: Mapping[str, float], *, temperature: float = 2.0) -> nn.Module:
    """Weigh by softmax(loss of the last epoch / loss of the one before / temperature), times T.

    Args:
        weights: Factors on top of that.
        temperature: Positive; the higher, the more alike the weights.
    """
    if temperature <= 0:
        raise ValueError(f"dwa needs a positive temperature, got {temperature}")
    return _DynamicWeightAverage(weights, temperature)


class _DynamicWeightAverage(nn.Module):
    weights: Tensor
    sums: Tensor
    counts: Tensor
    last: Tensor
    before: Tensor
    epoch: Tensor

    def __init__(self, weights: Mapping[str, float], temperature: float) -> None:
        super().__init__()
        self._tasks, self._temperature = tuple(weights), temperature
        self.register_buffer("weights", torch.tensor(list(weights.values())), persistent=False)
        for name in ("sums", "counts"):
            self.register_buffer(name, torch.zeros(len(weights)))
        for name in ("last", "before"):  # mean losses of epochs; 0 where there were none
            self.register_buffer(name, torch.zeros(len(weights)))
        self.register_buffer("epoch", torch.tensor(1))

    def needs_whole(self, step: Step) -> bool:  # noqa: ARG002
        return True

    def forward(self, losses: Mapping[str, Tensor], step: Step) -> Float[Tensor, ""]:
        if step.epoch != int(self.epoch):
            self._turn_to(step.epoch)
        values = stacked(losses, self._tasks)
        self.sums += values.detach()
        self.counts += labelled(values)
        known = (self.last > 0) & (self.before > 0)
        slowness = torch.where(known, self.last / self.before.where(known, 1), 1)
        shares = torch.softmax(slowness / self._temperature, dim=0)
        return (len(self._tasks) * shares * self.weights * values).sum()

    def _turn_to(self, epoch: int) -> None:
        self.before.copy_(self.last)
        self.last.copy_(self.sums / self.counts.clamp(min=1))
        self.sums.zero_()
        self.counts.zero_()
        self.epoch.fill_(epoch)
