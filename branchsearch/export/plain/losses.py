"""The losses of ``branchsearch.train.losses``, each a mean over the labels of a batch."""

import torch
from torch import Tensor, nn


def known(target: Tensor) -> Tensor:
    """Where a target has a label: a finite float, a byte other than 255, an integer from 0."""
    if target.is_floating_point():
        return target.isfinite()
    return target != 255 if target.dtype is torch.uint8 else target >= 0


def filled(target: Tensor) -> Tensor:
    """A target in single precision, with 0 where it is missing, so that nothing spreads."""
    return torch.where(target.isfinite(), target, 0).float()


def mean(values: Tensor, there: Tensor) -> Tensor:
    """The mean where there is a label; 0, with gradients of 0, where nothing has one."""
    return (values * there).sum() / there.sum().clamp(min=1)


def cross_entropy(predicted: Tensor, target: Tensor) -> Tensor:
    """Of class scores [batch, classes, ...] against class numbers [batch, ...]."""
    there = known(target)
    classes = torch.where(there, target.long(), -100)  # what PyTorch's leaves out
    total = nn.functional.cross_entropy(predicted, classes, ignore_index=-100, reduction="sum")
    return total / there.sum().clamp(min=1)


def binary(predicted: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of every attribute's log-odds, both [batch, attributes]."""
    loss = nn.functional.binary_cross_entropy_with_logits(
        predicted, filled(target), reduction="none"
    )
    return mean(loss, known(target))


def difference(predicted: Tensor, target: Tensor) -> Tensor:
    """Of predictions from targets, which PyTorch would take in other shapes, too."""
    if predicted.shape != target.shape:
        raise ValueError(f"predicted {tuple(predicted.shape)}, but got {tuple(target.shape)}")
    return predicted - filled(target)


def absolute_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Absolute difference, in the target's unit."""
    return mean(difference(predicted, target).abs(), known(target))


def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared difference, in the target's unit squared."""
    return mean(difference(predicted, target).square(), known(target))


def cosine_distance(predicted: Tensor, target: Tensor) -> Tensor:
    """One minus the cosine between directions [batch, 3, H, W], in [0, 2]."""
    theirs = filled(target)
    length = predicted.square().sum(dim=1) * theirs.square().sum(dim=1)
    cosine = (predicted * theirs).sum(dim=1) * length.clamp(min=1e-16).rsqrt()
    return mean(1 - cosine, known(target).all(dim=1))


def balanced_binary(predicted: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy in which the batch's rare class weighs as much as the common one."""
    there = known(target)
    positive = (target == 1) & there
    share = positive.sum() / there.sum().clamp(min=1)
    loss = nn.functional.binary_cross_entropy_with_logits(
        predicted, positive.to(predicted), reduction="none"
    )
    return mean(torch.where(positive, 1 - share, share) * loss, there)
