"""What each kind of task is trained on.

Every loss takes a prediction and the part's target (see ``branchsearch.datasets.dataset.Part``) and
gives the mean over what has a label, a number without unit unless said; exactly 0, with gradients
of 0, where nothing has one, so that a batch may lack a task. Half-precision predictions are taken,
and added up in single precision.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from branchsearch.train.labels import filled, known, known_directions


@dataclass(frozen=True, slots=True)
class Loss:
    """A mean over labels that may be taken in parts, by several processes or one after another.

    The parts of a batch add up to the loss of the whole batch when all are given the labels of the
    whole: count each part's labels, add these up, and hand the sum to every part.

    >>> predicted, target = torch.tensor([[1.0], [2.0], [5.0]]), torch.zeros(3, 1)
    >>> squared_error(predicted, target)
    tensor(10.)
    >>> labels = squared_error.count(target[:1]) + squared_error.count(target[1:])
    >>> halves = [(predicted[:1], target[:1]), (predicted[1:], target[1:])]
    >>> sum(squared_error(*half, labels) for half in halves)
    tensor(10.)

    Attributes:
        count: From a target to its number of labels by sort, shape [L], integers. Most losses know
            one sort of label; where rare ones weigh more there are two.
        part: From prediction, target and numbers of labels to this target's part of the loss.
    """

    count: Callable[[Tensor], Tensor]
    part: Callable[[Tensor, Tensor, Tensor], Tensor]

    def __call__(
        self,
        predicted: Float[Tensor, "batch outputs *pixels"],
        target: Num[Tensor, " batch *rest"],
        labels: Int[Tensor, " sorts"] | None = None,
    ) -> Float[Tensor, ""]:
        """The loss, or the part that these images have in the loss of a bigger batch.

        Args:
            predicted: Of any floating type; outputs are the task's.
            target: Of the same images.
            labels: How many the bigger batch has, as ``count`` gives them; of this one by default.
        """
        return self.part(
            predicted.float(), target, self.count(target) if labels is None else labels
        )


def cosine(
    ours: Float[Tensor, "batch 3 height width"], theirs: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch height width"]:
    """The cosine between directions, in [-1, 1]; 0 where one of them has no length.

    As ``torch.nn.functional.cosine_similarity`` gives it, in a quarter of its time on a CPU: sums
    over the channels of a map are fast, norms over them are not.
    """
    length = ours.square().sum(dim=1) * theirs.square().sum(dim=1)
    return (ours * theirs).sum(dim=1) * length.clamp(min=1e-16).rsqrt()


def _all_labels(target: Num[Tensor, "*shape"]) -> Int[Tensor, " 1"]:
    return known(target).sum().reshape(1)


def _directions(target: Float[Tensor, "batch 3 height width"]) -> Int[Tensor, " 1"]:
    return known_directions(target).sum().reshape(1)


def _off_and_on(target: Num[Tensor, "*shape"]) -> Int[Tensor, " 2"]:
    there = known(target)
    on = ((target == 1) & there).sum()
    return torch.stack([there.sum() - on, on])


def _cross_entropy(
    predicted: Float[Tensor, "batch outputs *pixels"],
    target: Num[Tensor, " batch *pixels"],
    labels: Int[Tensor, " 1"],
) -> Float[Tensor, ""]:
    """Of class scores against class numbers, of images or of pixels."""
    classes = torch.where(known(target), target.long(), _IGNORED)
    total = nn.functional.cross_entropy(predicted, classes, ignore_index=_IGNORED, reduction="sum")
    return total / labels.sum().clamp(min=1)


def _binary(
    predicted: Float[Tensor, "batch outputs"],
    target: Float[Tensor, "batch outputs"],
    labels: Int[Tensor, " 1"],
) -> Float[Tensor, ""]:
    """Cross-entropy of every attribute's log-odds."""
    loss = nn.functional.binary_cross_entropy_with_logits(
        predicted, filled(target), reduction="none"
    )
    return _mean(loss, known(target), labels)


def _absolute_error(
    predicted: Float[Tensor, "batch 1 height width"],
    target: Float[Tensor, "batch 1 height width"],
    labels: Int[Tensor, " 1"],
) -> Float[Tensor, ""]:
    """Absolute difference, in the target's unit."""
    return _mean((predicted - filled(target)).abs(), known(target), labels)


def _squared_error(
    predicted: Float[Tensor, "batch outputs *pixels"],
    target: Float[Tensor, "batch outputs *pixels"],
    labels: Int[Tensor, " 1"],
) -> Float[Tensor, ""]:
    """Squared difference, in the target's unit squared."""
    return _mean((predicted - filled(target)).square(), known(target), labels)


def _cosine_distance(
    predicted: Float[Tensor, "batch 3 height width"],
    target: Float[Tensor, "batch 3 height width"],
    labels: Int[Tensor, " 1"],
) -> Float[Tensor, ""]:
    """One minus the cosine between directions, in [0, 2]."""
    there = known_directions(target)
    return _mean(1 - cosine(predicted, filled(target)), there, labels)


def _balanced_binary(
    predicted: Float[Tensor, "batch 1 height width"],
    target: Num[Tensor, "batch 1 height width"],
    labels: Int[Tensor, " 2"],
) -> Float[Tensor, ""]:
    """Binary cross-entropy in which the batch's rare class weighs as much as the common one.

    Source: S. Xie and Z. Tu, "Holistically-Nested Edge Detection", ICCV 2015, equation 2.
    """
    there = known(target)
    positive = (target == 1) & there
    share = labels[1] / labels.sum().clamp(min=1)
    weight = torch.where(positive, 1 - share, share)
    loss = nn.functional.binary_cross_entropy_with_logits(
        predicted, positive.to(predicted), reduction="none"
    )
    return _mean(weight * loss, there, labels)


def _mean(values: Tensor, there: Tensor, labels: Tensor) -> Tensor:
    return (values * there).sum() / labels.sum().clamp(min=1)


#: What PyTorch's cross-entropy leaves out.
_IGNORED = -100

cross_entropy = Loss(_all_labels, _cross_entropy)
binary = Loss(_all_labels, _binary)
absolute_error = Loss(_all_labels, _absolute_error)
squared_error = Loss(_all_labels, _squared_error)
cosine_distance = Loss(_directions, _cosine_distance)
balanced_binary = Loss(_off_and_on, _balanced_binary)
