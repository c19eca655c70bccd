"""Random loss weighting: new chance weights at every step.

Source: B. Lin et al., "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task
Learning", TMLR 2022, section 3.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.train.balancing.balancing import Step, stacked


def rlw(weights: Mapping[str, float]) -> nn.Module:
    """Weigh by the softmax of normal draws, times the number of tasks, and by given factors."""
    return _RandomWeights(weights)


class _RandomWeights(nn.Module):
    weights: Tensor

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self._tasks = tuple(weights)
        self.register_buffer("weights", torch.tensor(list(weights.values())), persistent=False)

    def forward(self, losses: Mapping[str, Tensor], step: Step) -> Float[Tensor, ""]:
        values = stacked(losses, self._tasks)
        # by number and not in a row: a resumed training and every process draw the same
        draw = np.random.default_rng([step.seed, step.number]).standard_normal(len(values))
        shares = torch.softmax(torch.from_numpy(draw).to(values), dim=0)
        return (len(values) * shares * self.weights * values).sum()
