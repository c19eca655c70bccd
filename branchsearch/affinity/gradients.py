"""Gradient cosine: do two tasks want to move shared weights the same way?

Shape letters: S = stages, N = batches, T = tasks.

Source: T. Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, calls two tasks in
conflict when the cosine is negative; G. Shi et al., "Recon: Reducing Conflicting Gradients from the
Root for Multi-Task Learning", ICLR 2023, counts conflicts per layer. Both look at every step of a
training; here, at lower fidelity, the trained network alone is read, on several batches.
"""

import numpy as np
from jaxtyping import Float

from branchsearch.affinity.measure import Estimate, Measure, Reads
from branchsearch.affinity.uncertainty import of_symmetric, over_batches


def gradient_cosine(products: Float[np.ndarray, "S N T T"]) -> Float[np.ndarray, "S T T"]:
    """The cosine of every two tasks' gradients of a stage, averaged over batches, in [-1, 1].

    A batch for which a task has no gradient at a stage says nothing about that task there.

    Args:
        products: Inner products of the gradients, see ``evidence.gradient_products``.

    Raises:
        ValueError: Products are NaN or infinite, or two tasks never have a gradient for one batch;
            the message names stage and tasks.
    """
    values: Float[np.ndarray, "S T T"] = np.nanmean(_cosines(products), axis=1)
    return _diagonal_of_ones(values)


def estimate(products: Float[np.ndarray, "S N T T"], *, draws: int, seed: int) -> Estimate:
    """The same with intervals and chance levels, from the spread between batches."""
    cosines = _cosines(products)
    values = np.nanmean(cosines, axis=1)
    low, high, chance = over_batches(cosines, draws=draws, seed=seed)
    return of_symmetric(values, low, high, chance)


def _cosines(products: Float[np.ndarray, "S N T T"]) -> Float[np.ndarray, "S N T T"]:
    if not np.isfinite(products).all():
        stage, batch, one, other = np.argwhere(~np.isfinite(products))[0]
        raise ValueError(
            f"the product of tasks {one}'s and {other}'s gradients of stage {stage} for batch "
            f"{batch} is {products[stage, batch, one, other]}"
        )
    lengths = np.sqrt(np.einsum("snii->sni", products))
    scale = lengths[..., :, None] * lengths[..., None, :]
    cosines = np.full_like(products, np.nan)
    np.divide(products, scale, out=cosines, where=scale > 0)
    never = np.isnan(cosines).all(axis=1)
    if never.any():
        stage, one, other = np.argwhere(never)[0]
        who = f"task {one}" if one == other else f"tasks {one} and {other}"
        raise ValueError(f"{who} never had a gradient of stage {stage} for the same batch")
    return cosines.clip(-1, 1)


def _diagonal_of_ones(values: Float[np.ndarray, "S T T"]) -> Float[np.ndarray, "S T T"]:
    same = np.arange(values.shape[1])
    values[:, same, same] = 1.0
    return values


#: The cosine, averaged over batches.
GRADIENT_COSINE = Measure(
    Reads.GRADIENTS, symmetric=True, values=gradient_cosine, estimate=estimate
)
