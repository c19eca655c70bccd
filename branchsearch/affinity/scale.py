"""Affinities by different measures on one scale, and what of them is known."""

import numpy as np
from jaxtyping import Bool, Float

from branchsearch.affinity.affinity import Affinity


def scale_end(affinity: Affinity) -> float:
    """Where a measure's scale ends: at 1 where a task is 1 to itself, else at its largest affinity.

    Effects of single training steps are a few thousandths, and gains are percent.
    """
    values = affinity.estimate.values
    most = float(np.nanmax(np.abs(values[:, others(affinity)]), initial=0.0))
    correlates = np.allclose(np.diagonal(values, axis1=1, axis2=2), 1)
    return 1.0 if correlates or not most else most


def mutual(affinity: Affinity) -> Float[np.ndarray, "S T T"]:
    """What two tasks are to each other, symmetric, in [-1, 1].

    Who shares, shares both ways: where a measure has directions, the mean of both is taken.
    """
    values = affinity.estimate.values / scale_end(affinity)
    both: Float[np.ndarray, "S T T"] = (values + values.swapaxes(1, 2)) / 2
    return both


def is_mutual(affinity: Affinity) -> bool:
    """Whether affinities are the same both ways round."""
    values = affinity.estimate.values
    return np.array_equal(values, values.swapaxes(1, 2), equal_nan=True)


def others(affinity: Affinity) -> Bool[np.ndarray, "T T"]:
    """Which entries are of two tasks, and not of one with itself."""
    two: Bool[np.ndarray, "T T"] = ~np.eye(len(affinity.tasks), dtype=bool)
    return two


def is_known(affinity: Affinity, part: Float[np.ndarray, "S T T"]) -> bool:
    """Whether a part of an estimate, as its chance levels, says anything about two tasks."""
    return bool(np.isfinite(part[:, others(affinity)]).any())
