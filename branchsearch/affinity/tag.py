"""Task affinity grouping: does a step for one task help another?

Shape letters: S = stages, N = batches, T = tasks.

Take one step with task i's gradient and look how task j fares: Z(i → j) = 1 - loss of j after it /
loss of j before it. Positive where the step helps j. Z(i → j) and Z(j → i) differ, and both are
kept; what suits task i is what others' steps do to it, so entry [s, i, j] holds Z(j → i).

Source: C. Fifty et al., "Efficiently Identifying Task Groupings for Multi-Task Learning", NeurIPS
2021, averaged over the course of training. Here, at lower fidelity, the trained network alone is
read, on several batches, and per stage, with steps on that stage's weights only.
"""

import numpy as np
from jaxtyping import Float

from branchsearch.affinity.evidence import Lookahead
from branchsearch.affinity.measure import Estimate, Measure, Reads
from branchsearch.affinity.uncertainty import over_batches


def tag(losses: Lookahead) -> Float[np.ndarray, "S T T"]:
    """What share of its loss a step for task j takes from task i, averaged; at most 1.

    Entry [s, i, j] is Z(j → i) at stage s; on the diagonal, what a task's own step does. It may
    fall below -1 where a step more than doubles a loss.
    """
    values: Float[np.ndarray, "S T T"] = _shares(losses).mean(axis=1)
    return values


def estimate(losses: Lookahead, *, draws: int, seed: int) -> Estimate:
    """The same with intervals and chance levels, from the spread between batches."""
    shares = _shares(losses)
    low, high, chance = over_batches(shares, draws=draws, seed=seed)
    tasks = np.arange(chance.shape[1])
    chance[:, tasks, tasks] = 1.0
    return Estimate(shares.mean(axis=1), low, high, chance)


def _shares(losses: Lookahead) -> Float[np.ndarray, "S N T T"]:
    helped = 1 - losses.after / losses.before[None, :, None, :]  # [s, n, i, j] = Z(i → j)
    shares: Float[np.ndarray, "S N T T"] = helped.swapaxes(2, 3)
    return shares


#: The lookahead, averaged over batches.
TAG = Measure(Reads.LOSSES, symmetric=False, values=tag, estimate=estimate)
