"""How well classes are told: of images, of pixels, and attributes one by one."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import (
    MulticlassConfusionMatrix,
    MulticlassJaccardIndex,
    MultilabelConfusionMatrix,
)

from branchsearch.datasets.dataset import UNLABELLED
from branchsearch.task import KINDS, Task
from branchsearch.train.labels import known
from branchsearch.train.metrics.ranking import MeanAveragePrecision

#: From what was counted to one number.
_Reading = Callable[[Tensor], Tensor]


def accuracy(task: Task) -> Metric:
    """Share of right answers, in [0, 1]: of all images, or mean over the attributes."""
    return _counted(task, of_classes=_right, of_attributes=_attribute_accuracy)


def balanced_accuracy(task: Task) -> Metric:
    """Mean over the classes of the share that is found of each, in [0, 1].

    Only classes that occur are meant. An attribute has two, having it or not; the mean over the
    attributes is taken in the end.

    Source: C. Huang et al., "Learning Deep Representation for Imbalanced Classification", CVPR
    2016, for attributes.
    """
    return _counted(task, of_classes=_mean_recall, of_attributes=_attribute_balance)


def mean_f1(task: Task) -> Metric:
    """Mean over classes, or attributes, of the harmonic mean of precision and recall, in [0, 1].

    A class that neither occurs nor is predicted has none and is left out.
    """
    return _counted(task, of_classes=_class_f1, of_attributes=_attribute_f1)


def mean_average_precision(task: Task) -> Metric:
    """Mean over the attributes of the area under precision over recall, in [0, 1].

    Exact, as a sum over the ranks where recall rises. An attribute that no image has is left out.
    """
    return MeanAveragePrecision(task.outputs)


def mean_iou(task: Task) -> Metric:
    """Intersection over union of all pixels together, mean over the classes, in [0, 1]."""
    return _MeanIou(task.outputs, ignore_index=UNLABELLED, validate_args=False)


def pixel_accuracy(task: Task) -> Metric:
    """Share of the pixels whose class is right, in [0, 1]."""
    return _counted(task, of_classes=_right, of_attributes=_attribute_accuracy)


class _MeanIou(MulticlassJaccardIndex):
    def compute(self) -> Tensor:
        iou: Tensor = super().compute()
        return torch.where(self.confmat.sum() > 0, iou, torch.nan)


def _counted(task: Task, *, of_classes: _Reading, of_attributes: _Reading) -> Metric:
    if KINDS[task.kind].says == "classes":
        return _Classes(task.outputs, of_classes)
    return _Attributes(task.outputs, of_attributes)


class _Classes(MulticlassConfusionMatrix):
    """Counts [classes, classes] of true and predicted classes, read in the end."""

    def __init__(self, classes: int, reading: _Reading) -> None:
        super().__init__(classes, validate_args=False)
        self.reading = reading

    def update(self, predicted: Tensor, target: Tensor) -> None:
        there = known(target)
        super().update(predicted.argmax(dim=1)[there], target[there].long())

    def compute(self) -> Tensor:
        return self.reading(self.confmat.double())


class _Attributes(MultilabelConfusionMatrix):
    """Counts [attributes, 2, 2] of true and predicted answers, read in the end."""

    def __init__(self, attributes: int, reading: _Reading) -> None:
        super().__init__(attributes, ignore_index=-1, validate_args=False)
        self.reading = reading

    def update(self, predicted: Tensor, target: Tensor) -> None:
        has = torch.where(known(target), target, -1).long()
        super().update((predicted > 0).long(), has)

    def compute(self) -> Tensor:
        return self.reading(self.confmat.double())


def _right(counts: Float[Tensor, "classes classes"]) -> Float[Tensor, ""]:
    return counts.trace() / counts.sum()


def _mean_recall(counts: Float[Tensor, "classes classes"]) -> Float[Tensor, ""]:
    return (counts.diagonal() / counts.sum(dim=1)).nanmean()


def _class_f1(counts: Float[Tensor, "classes classes"]) -> Float[Tensor, ""]:
    return (2 * counts.diagonal() / (counts.sum(dim=0) + counts.sum(dim=1))).nanmean()


def _attribute_accuracy(counts: Float[Tensor, "attributes 2 2"]) -> Float[Tensor, ""]:
    right = counts.diagonal(dim1=1, dim2=2).sum(dim=1)
    return (right / counts.sum(dim=(1, 2))).nanmean()


def _attribute_balance(counts: Float[Tensor, "attributes 2 2"]) -> Float[Tensor, ""]:
    return (counts.diagonal(dim1=1, dim2=2) / counts.sum(dim=2)).nanmean(dim=1).nanmean()


def _attribute_f1(counts: Float[Tensor, "attributes 2 2"]) -> Float[Tensor, ""]:
    found = counts[:, 1, 1]
    return (2 * found / (counts[:, 1].sum(dim=1) + counts[:, :, 1].sum(dim=1))).nanmean()
