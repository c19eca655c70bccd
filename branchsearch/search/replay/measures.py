"""What a search is judged by: numbers from numbers."""

import numpy as np
from scipy.stats import rankdata

#: Resamplings that an interval is made of.
_RESAMPLED = 2_000


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation, in [-1, 1]; equal values share their mean rank.

    NaN for fewer than 2 values, and where all values of one are equal: they have no order.
    """
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def mean_interval(values: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A 95 % interval of the mean over the first axis: percentiles of 2,000 bootstrap means.

    Regrets are never negative, often zero and sometimes large; a bootstrap keeps to their range,
    where an interval of Student's t would pass below zero. From few values it is too narrow.

    Args:
        values: Shape [R, ...], R independent repeats.
        seed: Of the resampling.

    Returns:
        The lower and the upper end, each of shape [...].
    """
    draws = np.random.default_rng(seed).integers(len(values), size=(_RESAMPLED, len(values)))
    counts = np.apply_along_axis(np.bincount, 1, draws, minlength=len(values))
    means = np.tensordot(counts, values, axes=1) / len(values)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return low, high


def hypervolume(quality: np.ndarray, cost: np.ndarray, *, worst: float, dearest: float) -> float:
    """The area that trees dominate: as good or worse, as cheap or dearer, up to a corner.

    Args:
        quality: Shape [N], higher is better.
        cost: Shape [N].
        worst: The quality at the corner.
        dearest: The cost at the corner.

    Returns:
        At least 0, in the unit of quality times that of cost.
    """
    order = np.lexsort((-quality, cost))
    cheap = np.minimum(cost[order], dearest)
    best = np.maximum.accumulate(np.maximum(quality[order], worst))
    widths = np.diff(cheap, append=dearest)
    return float((widths * (best - worst)).sum())
