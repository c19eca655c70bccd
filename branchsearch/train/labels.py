"""Which labels are there: what is missing looks different in every type of target."""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from branchsearch.datasets.dataset import UNLABELLED


def known(target: Shaped[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
    """Where a target has a label, see ``branchsearch.datasets.dataset.Part``.

    A float is missing when it is not finite, a byte when it is ``UNLABELLED``, and any other number
    when it is negative.
    """
    if target.is_floating_point():
        return target.isfinite()
    return target != UNLABELLED if target.dtype is torch.uint8 else target >= 0


def known_directions(
    target: Shaped[Tensor, "batch 3 height width"],
) -> Bool[Tensor, "batch height width"]:
    """Where all three numbers of a direction are there."""
    return known(target).all(dim=1)


def filled(target: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """A target in single precision, with 0 where it is missing, so that nothing spreads."""
    return torch.where(target.isfinite(), target, 0).float()
