"""What each kind of task is trained on.

Every loss takes a prediction [batch, outputs, H, W] and the part's target (see
``branchsearch.datasets.dataset.Part``) and gives the mean over the pixels that have a label, a
number without unit; 0 where no pixel has one, so that a batch may lack a task.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from branchsearch.datasets.dataset import UNLABELLED


def cross_entropy(
    predicted: Float[Tensor, "batch outputs height width"],
    target: Num[Tensor, "batch height width"],
) -> Float[Tensor, ""]:
    """Cross-entropy of class scores against class numbers."""
    labelled = (target != UNLABELLED).sum().clamp(min=1)
    total = nn.functional.cross_entropy(
        predicted, target.long(), ignore_index=UNLABELLED, reduction="sum"
    )
    return total / labelled


def absolute_error(
    predicted: Float[Tensor, "batch 1 height width"], target: Float[Tensor, "batch 1 height width"]
) -> Float[Tensor, ""]:
    """Mean absolute difference."""
    known = target.isfinite()
    return _mean((predicted - target.nan_to_num()).abs(), known)


def cosine_distance(
    predicted: Float[Tensor, "batch 3 height width"], target: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, ""]:
    """One minus the cosine between directions, in [0, 2]."""
    known = target.isfinite().all(dim=1)
    return _mean(1 - cosine(predicted, target.nan_to_num()), known)


def balanced_binary(
    predicted: Float[Tensor, "batch 1 height width"], target: Num[Tensor, "batch 1 height width"]
) -> Float[Tensor, ""]:
    """Binary cross-entropy in which the batch's rare class weighs as much as the common one.

    Source: S. Xie and Z. Tu, "Holistically-Nested Edge Detection", ICCV 2015, equation 2.
    """
    known = target != UNLABELLED
    positive = (target == 1) & known
    share = positive.sum() / known.sum().clamp(min=1)
    weight = torch.where(positive, 1 - share, share)
    loss = nn.functional.binary_cross_entropy_with_logits(
        predicted, positive.to(predicted), reduction="none"
    )
    return _mean(weight * loss, known)


def cosine(
    ours: Float[Tensor, "batch 3 height width"], theirs: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch height width"]:
    """The cosine between directions, in [-1, 1]; 0 where one of them has no length.

    As ``torch.nn.functional.cosine_similarity`` gives it, in a quarter of its time on a CPU: sums
    over the channels of a map are fast, norms over them are not.
    """
    length = ours.square().sum(dim=1) * theirs.square().sum(dim=1)
    return (ours * theirs).sum(dim=1) * length.clamp(min=1e-16).rsqrt()


def _mean(values: Tensor, known: Tensor) -> Tensor:
    return (values * known).sum() / known.sum().clamp(min=1)
