"""Two-task trainings: the dear way to an affinity, from what networks of two tasks really gained.

Shape letters: S = stages, T = tasks.

A tree is scored by its pairs: for each task, the mean over its partners of what it gained in a
network of the two that parts where they part in the tree. Since a gain at depth d is the gain at
depth 0 plus one step per shared stage, the score is a sum over stages and branches.

Source: L. Zhang et al., "A Tree-Structured Multi-Task Model Recommender", AutoML 2022 (TreeMTL).
"""

from collections.abc import Callable, Collection

import numpy as np
from jaxtyping import Float

from branchsearch.affinity.completion import complete
from branchsearch.affinity.measure import Estimate, Measure, Reads

_NORMAL_95 = 1.959964


def two_task(gains: Float[np.ndarray, "D T T"]) -> Float[np.ndarray, "S T T"]:
    """What task i gains if it shares stage s with task j as well as those before it.

    Gains that were not measured are filled in by ``completion.complete``; measured ones stay as
    they are. In the unit of the gains; the diagonal is 0.

    Args:
        gains: Shape [S + 1, T, T], see ``branchsearch.affinity.evidence``.

    Raises:
        ValueError: There is no stage, nothing was measured, or some gain is infinite.
    """
    steps: Float[np.ndarray, "S T T"] = np.diff(_filled(gains), axis=0)
    return steps


def estimate(gains: Float[np.ndarray, "D T T"], *, draws: int, seed: int) -> Estimate:  # noqa: ARG001
    """The same with the intervals that the Gaussian process gives; chance levels are NaN.

    The process says how sure it is without drawing, so ``seed`` is not used; with ``draws`` 0, as
    everywhere, intervals are NaN.
    """
    completion = complete(_checked(gains))
    values = np.diff(completion.gains, axis=0)
    reach = completion.deviations * (_NORMAL_95 if draws else np.nan)
    low = np.minimum(completion.steps - reach, values)
    high = np.maximum(completion.steps + reach, values)
    chance = np.full_like(values, np.nan)
    same = np.arange(values.shape[1])
    low[:, same, same] = high[:, same, same] = 0.0
    chance[:, same, same] = 1.0
    return Estimate(values, low, high, chance)


def additive_score(
    affinity: Float[np.ndarray, "S T T"],
) -> Callable[[int, Collection[int]], float]:
    """The score of a branch, so that a tree's branches sum to its two-task estimate.

    Args:
        affinity: What ``two_task`` gives.

    Returns:
        From a stage's number and the numbers of a branch's tasks to what the branch adds: higher is
        better. To the sum over a tree add ``apart`` for the estimate itself, a constant that no
        choice of a tree changes.
    """
    partners = max(1, affinity.shape[1] - 1)

    def score(stage: int, branch: Collection[int]) -> float:
        members = list(branch)
        inside = affinity[stage][np.ix_(members, members)]
        return float((inside.sum() - inside.trace()) / partners)

    return score


def apart(gains: Float[np.ndarray, "D T T"]) -> float:
    """The two-task estimate of the tree that shares nothing: what ``additive_score`` leaves out."""
    filled = _filled(gains)[0]
    return float((filled.sum() - filled.trace()) / max(1, len(filled) - 1))


def _filled(gains: Float[np.ndarray, "D T T"]) -> Float[np.ndarray, "D T T"]:
    others = ~np.eye(gains.shape[1], dtype=bool)
    if len(gains) > 1 and np.isfinite(gains[:, others]).all():
        return np.where(others, gains, 0.0)
    return complete(_checked(gains)).gains


def _checked(gains: Float[np.ndarray, "D T T"]) -> Float[np.ndarray, "D T T"]:
    if len(gains) < 2:
        raise ValueError("gains need depths 0 to S, so at least two; got one")
    return gains


#: TreeMTL's estimate, one stage at a time.
TWO_TASK = Measure(Reads.GAINS, symmetric=False, values=two_task, estimate=estimate)
