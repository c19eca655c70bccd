"""Correlations as inner products of unit vectors, also of resamples.

Shape letters: T = tasks, P = entries of a vector.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def unit_rows(
    rows: Float[Tensor, "T P"], counts: Float[Tensor, " P"] | None = None
) -> Float[Tensor, "T _"]:
    """Rows less their means and of length 1, so that inner products are Pearson's correlations.

    With counts, each column stands for so many. A row of equal numbers becomes NaN: rounding of
    its mean is no variation.
    """
    if counts is None:
        centred = rows - rows.mean(dim=1, keepdim=True)
    else:
        here = counts.nonzero().flatten()
        rows, counts = rows[:, here], counts[here]
        mean = (rows @ counts / counts.sum())[:, None]
        centred = (rows - mean) * counts.sqrt()
    unit: Float[Tensor, "T _"] = centred / centred.norm(dim=1, keepdim=True)
    unit[(rows == rows[:, :1]).all(dim=1)] = torch.nan
    return unit


def products(unit: Float[Tensor, "T _"]) -> Float[np.ndarray, "T T"]:
    """Inner products of every two rows, in [-1, 1]; exactly symmetric, ones on the diagonal."""
    found: Float[np.ndarray, "T T"] = torch.mm(unit, unit.T).clamp(-1, 1).double().cpu().numpy()
    symmetric: Float[np.ndarray, "T T"] = (found + found.T) / 2
    np.fill_diagonal(symmetric, 1.0)
    return symmetric
