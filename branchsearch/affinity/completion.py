"""What two-task networks that were never trained would have gained, by a Gaussian process.

Shape letters: S = stages, T = tasks, n = trained networks' tasks, m = all entries.

How much task i gains beside task j when they share d stages is taken as a sum of five smooth
functions of d: one that all pairs share, one of i, one of its partner j, one of the pair whichever
way round, and one of i beside j alone; plus what differs from training to training. How large each
is comes from the data, by the marginal likelihood.

Source: C. Rasmussen and C. Williams, "Gaussian Processes for Machine Learning", 2006, chapters 2
and 5.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

#: Entries that the sizes are fitted to; the process itself is conditioned on all.
_FITTED = 400


@dataclass(frozen=True, slots=True)
class Completion:
    """Gains of all pairs at all depths, and how sure they are.

    Attributes:
        gains: Shape [S + 1, T, T]: as measured where measured, else as expected; zero diagonal.
        steps: Shape [S, T, T]: what sharing one more stage is expected to bring.
        deviations: Shape [S, T, T]: standard deviations of those.
    """

    gains: Float[np.ndarray, "D T T"]
    steps: Float[np.ndarray, "S T T"]
    deviations: Float[np.ndarray, "S T T"]


def complete(gains: Float[np.ndarray, "D T T"]) -> Completion:
    """Fill in what is NaN beside the diagonal.

    Costs the cube of the number of measured entries: a second for 1,000.

    Args:
        gains: Shape [S + 1, T, T], see ``branchsearch.affinity.evidence``.

    Raises:
        ValueError: Nothing was measured, or some gain is infinite.
    """
    depths, tasks, _ = gains.shape
    pairs = ~np.eye(tasks, dtype=bool)
    if np.isinf(gains[:, pairs]).any():
        depth, one, other = np.argwhere(np.isinf(gains) & pairs)[0]
        raise ValueError(f"the gain of task {one} beside task {other} at depth {depth} is infinite")
    known = np.argwhere(np.isfinite(gains) & pairs)
    if not len(known) and tasks > 1:
        raise ValueError("no gain of any two tasks was measured")
    if tasks == 1:
        nothing = np.zeros((depths - 1, 1, 1))
        return Completion(np.zeros_like(gains), nothing, nothing)
    measured = gains[tuple(known.T)]
    offset, scale = measured.mean(), measured.std() or 1.0
    targets = (measured - offset) / scale
    sizes = _fitted(known, targets, depths)
    factor = cholesky(_kernel(known, known, sizes) + _noise(sizes, len(known)), lower=True)
    weights = cho_solve((factor, True), targets)
    every = np.argwhere(np.broadcast_to(pairs, gains.shape))
    filled = np.where(pairs, np.nan_to_num(gains), 0.0)
    expected = np.zeros_like(gains)
    expected[tuple(every.T)] = _kernel(every, known, sizes) @ weights * scale + offset
    missing = np.isnan(gains) & pairs
    filled[missing] = expected[missing]
    deviations = np.zeros((depths - 1, tasks, tasks))
    for depth in range(depths - 1):
        before = every[every[:, 0] == depth]
        after = before + np.array([1, 0, 0])
        across = _kernel(after, known, sizes) - _kernel(before, known, sizes)
        prior = 2 * (_same_place(sizes) - _kernel(after[:1], before[:1], sizes)[0, 0])
        explained = (across * cho_solve((factor, True), across.T).T).sum(axis=1)
        spread = np.sqrt(np.maximum(prior - explained, 0)) * scale
        deviations[depth, before[:, 1], before[:, 2]] = spread
    return Completion(filled, np.diff(expected, axis=0), deviations)


def _fitted(
    known: Int[np.ndarray, "n 3"], targets: Float[np.ndarray, " n"], depths: int
) -> Float[np.ndarray, "7"]:
    """Logarithms of five variances, of the noise's, and of the length over which depth matters."""
    some = np.linspace(0, len(known) - 1, min(len(known), _FITTED)).astype(int)
    places, seen = known[some], targets[some]

    def misfit(sizes: Float[np.ndarray, "7"]) -> float:
        kernel = _kernel(places, places, sizes) + _noise(sizes, len(places))
        factor = cholesky(kernel, lower=True)
        weights = cho_solve((factor, True), seen)
        return float(seen @ weights / 2 + np.log(factor.diagonal()).sum())

    start = np.log([0.3, 0.2, 0.2, 0.2, 0.1, 0.1, max(1.0, (depths - 1) / 2)])
    bounds = [(-7.0, 3.0)] * 5 + [(-9.0, 1.0), (-1.0, np.log(4.0 * depths))]
    best: Float[np.ndarray, 7] = minimize(misfit, start, method="L-BFGS-B", bounds=bounds).x
    return best


def _kernel(
    one: Int[np.ndarray, "n 3"], other: Int[np.ndarray, "m 3"], sizes: Float[np.ndarray, "7"]
) -> Float[np.ndarray, "n m"]:
    """How two entries (depth, task, partner) vary together, without noise."""
    shared, task, partner, pair, both = np.exp(sizes[:5])
    same_task = one[:, None, 1] == other[None, :, 1]
    same_partner = one[:, None, 2] == other[None, :, 2]
    reverse = (one[:, None, 1] == other[None, :, 2]) & (one[:, None, 2] == other[None, :, 1])
    same = same_task & same_partner
    apart = (one[:, None, 0] - other[None, :, 0]) / np.exp(sizes[6])
    variance = shared + task * same_task + partner * same_partner + pair * (same | reverse)
    kernel: Float[np.ndarray, "n m"] = (variance + both * same) * np.exp(-(apart**2) / 2)
    return kernel


def _noise(sizes: Float[np.ndarray, "7"], count: int) -> Float[np.ndarray, "n n"]:
    noise: Float[np.ndarray, "n n"] = np.eye(count) * (float(np.exp(sizes[5])) + 1e-8)
    return noise


def _same_place(sizes: Float[np.ndarray, "7"]) -> float:
    return float(np.exp(sizes[:5]).sum())
