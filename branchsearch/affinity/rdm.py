"""How unlike images are to a network: the strict upper triangle of its dissimilarity matrix.

Shape letters: K = probe images, P = K (K - 1) / 2 pairs of different images, row by row.

Only that triangle is ever compared. The diagonal and the mirrored half hold nothing new, and with
their zeros or ones two unrelated networks would seem much alike.

Equal dissimilarities come out equal wherever products are in double, and from single precision
where those were exact, as of features that are 0 or 1. Other features in single precision, or with
a mean taken off, leave up to 1e-6 between equal ones, so that they are no ties: more than that lies
between different ones where images are nearly alike, and no rounding would tell. Where ties matter,
as between copies of an image, hand in doubles.
"""

from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from branchsearch.affinity.gram import Gram


def one_minus_pearson(features: Gram) -> Float[Tensor, " P"]:
    """One minus Pearson's correlation of every two images' features, in [0, 2], in double.

    Raises:
        ValueError: An image's features are all equal, so that they correlate with nothing.
    """
    products = features.without_means()
    covariance = products + features.with_common
    covariance += (features.with_common + features.common_square)[:, None]
    spread = covariance.diagonal().clone()
    spread[list(features.flat)] = 0
    flat = (spread <= 0).nonzero().flatten().tolist()
    if flat:
        raise ValueError(f"{features.source}: features are all equal for images {some(flat)}")
    scale = spread.rsqrt()
    covariance *= scale
    covariance *= scale[:, None]
    rounded = float((products.diagonal() * scale**2).max())  # all else is in double
    return _clean(1 - triangle(covariance), features, scale=1.0, rounded=rounded)


def squared_euclidean(features: Gram) -> Float[Tensor, " P"]:
    """Squared Euclidean distance of every two images' features, in double."""
    products = features.without_means()
    norms = products.diagonal()
    means = features.means
    apart = means - means[:, None]
    distances = triangle(norms + norms[:, None] - 2 * products + features.columns * apart**2)
    scale = float(distances.clamp_(min=0).max())
    return _clean(distances, features, scale=scale, rounded=1.0)


def triangle(matrix: Float[Tensor, "K K"]) -> Float[Tensor, " P"]:
    """The strict upper triangle, row by row."""
    return matrix.flatten()[_positions(len(matrix), matrix.device)]


def some(numbers: list[int]) -> str:
    """A list of numbers for a message: all, or how many more there are than the first eight."""
    shown = ", ".join(map(str, numbers[:8]))
    return f"[{shown}]" if len(numbers) <= 8 else f"[{shown}, … {len(numbers) - 8} more]"


def _clean(
    dissimilarities: Float[Tensor, " P"], features: Gram, *, scale: float, rounded: float
) -> Float[Tensor, " P"]:
    """Without differences that are rounding errors; ValueError where no others are left.

    Args:
        dissimilarities: Of size ``scale``.
        features: Whose they are.
        scale: See there.
        rounded: The share of them that comes from the products of features.
    """
    double = features.products.dtype == torch.float64
    error = max(1e-12, 0.0 if double else 1e-6 * rounded)
    spread = float(dissimilarities.max() - dissimilarities.min())
    if not spread > error * scale:
        raise ValueError(f"{features.source}: every two images are equally alike")
    # equal dissimilarities must be equal to the last bit, or they are no ties
    return (dissimilarities / scale).round(decimals=12) * scale


@lru_cache(maxsize=4)
def _positions(images: int, device: torch.device) -> Int[Tensor, " P"]:
    row, column = torch.triu_indices(images, images, offset=1, device=device)
    positions: Int[Tensor, " P"] = row * images + column
    return positions
