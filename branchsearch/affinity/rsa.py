"""Representation similarity analysis: do two networks find the same images alike?

Shape letters: I = probe images, F = flattened features, P = I (I - 1) / 2 pairs of images,
T = tasks.

Source: K. Dwivedi and G. Roig, "Representation Similarity Analysis for Efficient Task Taxonomy &
Transfer Learning", CVPR 2019; used per branching point by S. Vandenhende et al., "Branched
Multi-Task Networks: Deciding What Layers To Share", BMVC 2020.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def task_affinity(
    features: Sequence[Float[Tensor, "I _"]],
) -> Float[Tensor, "T T"]:
    """Compare the tasks at one branching point by their dissimilarity matrices.

    Args:
        features: One [I, F] matrix per task: what its network makes of the same I probe images, in
            the same order. F may differ between tasks.

    Returns:
        Spearman's rank correlation of every two tasks' dissimilarities, in [-1, 1] without unit:
        symmetric, ones on the diagonal, higher where sharing costs less.

    Raises:
        ValueError: The tasks saw different numbers of images; fewer than 3; an image whose features
            are all equal; or a task that finds every two images equally alike. None of these has a
            correlation.
    """
    images = [len(task) for task in features]
    if len(set(images)) != 1:
        raise ValueError(f"all tasks must see the same probe images, but they saw {images}")
    ranks_TP = torch.stack([_ranks(image_dissimilarity(task)) for task in features])
    blind = ranks_TP.std(dim=1) == 0
    if blind.any():
        raise ValueError(f"every two images are equally alike to tasks {_positions(blind)}")
    return torch.corrcoef(ranks_TP).reshape(len(features), len(features)).clamp(-1, 1)


def image_dissimilarity(features_IF: Float[Tensor, "I F"]) -> Float[Tensor, " P"]:
    """One minus Pearson's correlation of every two images' features, in [0, 2], upper triangle."""
    images = len(features_IF)
    if images < 3:
        raise ValueError(f"needs at least 3 probe images to rank their pairs, got {images}")
    flat = features_IF.std(dim=1) == 0
    if flat.any():
        raise ValueError(f"features are all equal for images {_positions(flat)}")
    row, column = torch.triu_indices(images, images, offset=1)
    return 1 - torch.corrcoef(features_IF)[row, column]


def _ranks(values: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
    """Ranks from 1; equal values share their mean rank."""
    _, group, sizes = torch.unique(values, return_inverse=True, return_counts=True)
    # in double: sums over the pairs of 500 images pass what a float counts exactly
    mean_rank: Tensor = sizes.cumsum(0).double() - (sizes - 1) / 2
    return mean_rank[group]


def _positions(mask: Bool[Tensor, " n"]) -> list[int]:
    positions: list[int] = mask.nonzero().flatten().tolist()
    return positions
