"""Scalarizers of torchjd: functions of the losses alone. Needs the extra ``torchjd``.

torchjd (https://torchjd.org) states the paper of each method in its documentation.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.train.balancing.balancing import Step, labelled, stacked
from branchsearch.train.balancing.torchjd import import_torchjd


def imtl_l(weights: Mapping[str, float]) -> nn.Module:
    """Impartial learning by losses (IMTL-L): a learnt scale per task keeps all losses alike."""
    return _Scalarized(weights, import_torchjd("scalarization").IMTLL(len(weights)), whole=True)


def stch(weights: Mapping[str, float], *, mu: float = 1.0) -> nn.Module:
    """Smooth Tchebycheff: mostly the largest weighted loss, the more so the smaller mu is."""
    return _Scalarized(weights, import_torchjd("scalarization").STCH(mu), whole=False)


class _Scalarized(nn.Module):
    weights: Tensor

    def __init__(self, weights: Mapping[str, float], scalarizer: nn.Module, *, whole: bool) -> None:
        super().__init__()
        self._tasks, self._whole = tuple(weights), whole
        self.register_buffer("weights", torch.tensor(list(weights.values())), persistent=False)
        self.scalarizer = scalarizer

    def needs_whole(self, step: Step) -> bool:  # noqa: ARG002
        return True

    def forward(self, losses: Mapping[str, Tensor], step: Step) -> Float[Tensor, ""]:  # noqa: ARG002
        values = self.weights * stacked(losses, self._tasks)
        there = labelled(values)
        if not there.any():
            return values.sum()
        if not self._whole:
            some: Tensor = self.scalarizer(values[there])
            return some
        # where nothing is known of a task, what its scale stays at: e^s L - s is lowest there
        (scale,) = self.scalarizer.parameters()
        rests = (-scale.detach()).exp()
        every: Tensor = self.scalarizer(torch.where(there, values, rests))
        return every
