"""Pieces of different lengths, one after another in one array."""

import numpy as np


def ragged(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The places start, start + 1, ... of every piece, one piece after another."""
    ends = sizes.cumsum()
    total = int(ends[-1]) if len(ends) else 0
    places: np.ndarray = np.arange(total) + np.repeat(starts - ends + sizes, sizes)
    return places
