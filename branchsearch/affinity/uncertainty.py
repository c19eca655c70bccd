"""How sure an affinity is, and whether chance would give it as well.

Shape letters: K = probe images, T = tasks, P = pairs of images, D = draws, S = stages, N = batches.

Probe images are drawn, not their pairs: dissimilarities of pairs that share an image depend on each
other, and drawing or permuting them one by one would make every affinity look sure.

Sources: N. Mantel, "The detection of disease clustering and a generalized regression approach",
Cancer Research 1967 (the permutation test for two distance matrices); B. Efron, "Bootstrap methods:
another look at the jackknife", Annals of Statistics 1979.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from branchsearch.affinity.measure import Estimate

#: Two affinities closer than this count as equal when an affinity is held against chance.
_EQUAL = 1e-6


def resamples(
    images: int, *, draws: int, seed: int, distinct: int = 3
) -> Iterator[Int[np.ndarray, " K"]]:
    """Draw K of K images with replacement: how many times each one came.

    A draw with fewer ``distinct`` images, or of which one image makes half, has no affinity and is
    drawn again.
    """
    random = np.random.default_rng(seed)
    for _ in range(draws):
        while True:
            counts = np.bincount(random.integers(0, images, images), minlength=images)
            if (counts > 0).sum() >= distinct and 2 * counts.max() < max(images, 5):
                yield counts
                break


def interval(
    values: Float[np.ndarray, "T T"], drawn: list[Float[np.ndarray, "T T"]]
) -> tuple[Float[np.ndarray, "T T"], Float[np.ndarray, "T T"]]:
    """The middle 95 % of what the draws gave, widened where it would not hold the value itself.

    Draws that are NaN do not count; without any other both ends are NaN.
    """
    if not drawn:
        return np.full_like(values, np.nan), np.full_like(values, np.nan)
    draws = np.stack(drawn)
    missing = np.isnan(draws).all(axis=0)
    draws[:, missing] = 0.0
    low, high = np.nanquantile(draws, [0.025, 0.975], axis=0)
    low, high = np.minimum(low, values), np.maximum(high, values)
    low[missing] = high[missing] = np.nan
    return low, high


def chance_level(
    unit: Float[Tensor, "T P"],
    pairs: Int[Tensor, "2 P"],
    *,
    images: int,
    draws: int,
    seed: int,
) -> Float[np.ndarray, "T T"]:
    """Mantel's test: how often tasks are at least as far from 0 if the images of one are mixed up.

    Each draw renumbers the images of one task, for every two tasks at once, and counts twice: for
    one and for the other. The smallest level is 1 / (2 D + 1).

    Args:
        unit: What of every pair of images makes the affinity: unit vectors, so that affinities are
            their inner products.
        pairs: The numbers of the two images of each pair, the first not above the second.
        images: K.
        draws: D; 0 gives NaN.
        seed: Of the renumberings.

    Returns:
        In (0, 1], symmetric.
    """
    tasks = len(unit)
    if not draws:
        return np.full((tasks, tasks), np.nan)
    single = unit.float()  # for the comparison with chance it is enough
    found = (single @ single.T).abs() - _EQUAL
    where = torch.zeros(images, images, dtype=torch.int64, device=unit.device)
    numbers = torch.arange(pairs.shape[1], device=unit.device)
    where[pairs[0], pairs[1]] = where[pairs[1], pairs[0]] = numbers
    random = np.random.default_rng(seed)
    as_far = torch.zeros(tasks, tasks, device=unit.device)
    for _ in range(draws):
        mixed = torch.from_numpy(random.permutation(images)).to(unit.device)
        places = where[mixed[pairs[0]], mixed[pairs[1]]]
        as_far += (single[:, places] @ single.T).abs() >= found
    level: Float[np.ndarray, "T T"] = (
        ((as_far + as_far.T + 1) / (2 * draws + 1)).double().cpu().numpy()
    )
    return level


def of_symmetric(
    values: Float[np.ndarray, "S T T"],
    low: Float[np.ndarray, "S T T"],
    high: Float[np.ndarray, "S T T"],
    chance: Float[np.ndarray, "S T T"],
) -> Estimate:
    """An estimate whose diagonal is 1 without doubt: a task is like itself."""
    same = np.arange(values.shape[1])
    for each in (values, low, high, chance):
        each[:, same, same] = 1.0
    return Estimate(values, low, high, chance)


def over_batches(
    per_batch: Float[np.ndarray, "S N T T"], *, draws: int, seed: int
) -> tuple[Float[np.ndarray, "S T T"], Float[np.ndarray, "S T T"], Float[np.ndarray, "S T T"]]:
    """Low ends, high ends and chance levels of means over batches.

    Intervals resample the batches. Chance flips the signs of batches: tasks that have nothing in
    common help each other as often as not. Both take batches for independent, as images drawn for
    one network are; of other moments of its training they say nothing. NaN batches do not count;
    fewer than two give NaN.
    """
    stages, batches, tasks, _ = per_batch.shape
    counted = np.isfinite(per_batch)
    numbers = counted.sum(axis=1)
    if not draws:
        nothing = np.full((stages, tasks, tasks), np.nan)
        return nothing, nothing.copy(), nothing.copy()
    known = np.where(counted, per_batch, 0.0)
    mean = known.sum(axis=1) / np.maximum(numbers, 1)
    random = np.random.default_rng(seed)
    drawn, as_far = [], np.zeros_like(mean)
    for _ in range(draws):
        times = np.bincount(random.integers(0, batches, batches), minlength=batches).astype(float)
        weight = np.einsum("n,snij->sij", times, counted)
        total = np.einsum("n,snij->sij", times, known)
        drawn.append(np.divide(total, weight, out=np.full_like(mean, np.nan), where=weight > 0))
        signs = random.choice([-1.0, 1.0], batches)
        flipped = np.einsum("n,snij->sij", signs, known) / np.maximum(numbers, 1)
        as_far += np.abs(flipped) >= np.abs(mean) - 1e-12
    ends = [interval(mean[s], [draw[s] for draw in drawn]) for s in range(stages)]
    low, high = np.stack([end[0] for end in ends]), np.stack([end[1] for end in ends])
    chance = (as_far + 1) / (draws + 1)
    for each in (low, high, chance):
        each[numbers < 2] = np.nan
    return low, high, chance
