"""Representation similarity analysis with Kendall's agreement: how often two pairs of images are in
the same order to both tasks.

Shape letters as in ``branchsearch.affinity.rsa``. There is no shorter way than two tasks at a time,
so this costs a sort for every two tasks, and again for every draw.

Source: M. Kendall, "The treatment of ties in ranking problems", Biometrika 1945 (tau-b).
"""

import numpy as np
from jaxtyping import Float
from scipy.stats import kendalltau

from branchsearch.affinity.evidence import Features, comparable
from branchsearch.affinity.measure import Estimate, Measure, Reads
from branchsearch.affinity.rsa import dissimilarities, pair_counts
from branchsearch.affinity.uncertainty import interval, of_symmetric


def kendall(features: Features) -> Float[np.ndarray, "S T T"]:
    """Kendall's tau-b of every two tasks' dissimilarities; raises as ``rsa.spearman``."""
    stages = comparable(features)
    return np.stack([_tau(dissimilarities(stage).cpu().numpy()) for stage in stages])


def estimate_kendall(features: Features, *, draws: int, seed: int) -> Estimate:
    """The same with intervals and chance levels; every draw takes as long as the affinity itself.

    Chance is held against Kendall's own tau under Mantel's renumbering.
    """
    values = kendall(features)
    low, high, chance = (np.full_like(values, np.nan) for _ in range(3))
    for number, stage in enumerate(features) if draws else ():
        rdms = dissimilarities(stage).cpu().numpy()
        resampled = [
            _tau(np.repeat(rdms, counts.cpu().numpy().astype(int), axis=1))
            for counts in pair_counts(stage[0], draws=draws, seed=seed)
        ]
        low[number], high[number] = interval(values[number], resampled)
        chance[number] = _tau_chance(rdms, stage[0].images, draws=draws, seed=seed)
    return of_symmetric(values, low, high, chance)


def _tau(rdms: Float[np.ndarray, "T P"]) -> Float[np.ndarray, "T T"]:
    taus = np.eye(len(rdms))
    for one in range(len(rdms)):
        for other in range(one):
            taus[one, other] = taus[other, one] = kendalltau(rdms[one], rdms[other]).statistic
    return taus


def _tau_chance(
    rdms: Float[np.ndarray, "T P"], images: int, *, draws: int, seed: int
) -> Float[np.ndarray, "T T"]:
    found = np.abs(_tau(rdms)) - 1e-9
    rows, columns = np.triu_indices(images, 1)
    where = np.zeros((images, images), dtype=int)
    where[rows, columns] = where[columns, rows] = np.arange(len(rows))
    random = np.random.default_rng(seed)
    as_far = np.ones_like(found)
    for _ in range(draws):
        mixed = random.permutation(images)
        places = where[mixed[rows], mixed[columns]]
        for one in range(len(rdms)):
            for other in range(one):
                tau = kendalltau(rdms[one][places], rdms[other]).statistic
                as_far[one, other] += abs(tau) >= found[one, other]
                as_far[other, one] = as_far[one, other]
    level: Float[np.ndarray, "T T"] = as_far / (draws + 1)
    return level


#: Kendall's agreement of Pearson's dissimilarities.
RSA_KENDALL = Measure(Reads.FEATURES, symmetric=True, values=kendall, estimate=estimate_kendall)
