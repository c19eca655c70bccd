"""How well what stands out is told from the rest.

Both figures are means over images at the threshold that is best for all images together. An image
without a salient pixel, or without labels, does not count: nothing could be found in it.

Source: R. Achanta et al., "Frequency-tuned Salient Region Detection", CVPR 2009, section 4, for
the weight of precision; A. Borji et al., "Salient Object Detection: A Benchmark", IEEE
Transactions on Image Processing, 2015, section III, for the mean over images at each threshold.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor
from torchmetrics import Metric

from branchsearch.task import Task
from branchsearch.train.labels import known

#: Probabilities are told apart as the grey values of a picture.
LEVELS = 256

#: How much recall weighs against precision, squared.
BETA_SQUARED = 0.3


def saliency_f(task: Task) -> Metric:  # noqa: ARG001  # the factories' common signature
    """Greatest F over thresholds, of mean precision and mean recall, in [0, 1]."""
    return _OverThresholds(_greatest_f)


def saliency_iou(task: Task) -> Metric:  # noqa: ARG001
    """Greatest intersection over union over thresholds, mean over the images, in [0, 1]."""
    return _OverThresholds(_greatest_iou)


class _OverThresholds(Metric):
    """Sums over images of precision, recall and intersection over union at every threshold."""

    full_state_update = False

    sums: Tensor
    images: Tensor

    def __init__(self, reading: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.reading = reading
        zeros = torch.zeros(3, LEVELS, dtype=torch.float64)
        self.add_state("sums", zeros, dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Take a batch into account."""
        on, off = _levels(predicted.float(), target)
        some = on.sum(dim=1) > 0
        # at a threshold, whatever is at its level or above is taken for salient
        found, wrong = (counts[some].flip(1).cumsum(1).flip(1).double() for counts in (on, off))
        salient = found[:, :1]
        each = [found / (found + wrong).clamp(min=1), found / salient, found / (salient + wrong)]
        self.sums += torch.stack([ratio.sum(dim=0) for ratio in each])
        self.images += some.sum()

    def compute(self) -> Tensor:
        """At the best threshold for all images so far."""
        return self.reading(self.sums / self.images)


def _levels(
    predicted: Float[Tensor, "batch 1 height width"], target: Num[Tensor, "batch 1 height width"]
) -> tuple[Int[Tensor, "batch levels"], Int[Tensor, "batch levels"]]:
    """How many pixels each image has at each level of probability, on what is salient and off."""
    level = (predicted.sigmoid() * LEVELS).long().clamp(max=LEVELS - 1)
    image = torch.arange(len(target), device=target.device).view(-1, 1, 1, 1)
    there = known(target)
    place = ((image * 2 + (target == 1)) * LEVELS + level)[there]
    counts = place.bincount(minlength=len(target) * 2 * LEVELS).view(-1, 2, LEVELS)
    return counts[:, 1], counts[:, 0]


def _greatest_f(means: Float[Tensor, "3 levels"]) -> Float[Tensor, ""]:
    precision, recall, _ = means
    both = BETA_SQUARED * precision + recall
    f = (1 + BETA_SQUARED) * precision * recall / both
    # NaN without images; 0 where nothing is found
    return torch.where(both == 0, 0, f).max()


def _greatest_iou(means: Float[Tensor, "3 levels"]) -> Float[Tensor, ""]:
    return means[2].max()
