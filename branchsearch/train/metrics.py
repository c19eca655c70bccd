"""What judges each task: accumulators over batches, as torchmetrics has them.

Each factory takes the task and gives a fresh accumulator: ``update(predicted, target)`` with the
shapes of ``branchsearch.train.losses``, then ``compute()``.
"""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import BinaryAveragePrecision, MulticlassJaccardIndex
from torchmetrics.regression import MeanSquaredError

from branchsearch.datasets.dataset import UNLABELLED
from branchsearch.task import Task
from branchsearch.train.losses import cosine


def mean_iou(task: Task) -> Metric:
    """Intersection over union of all pixels together, mean over the classes, in [0, 1]."""
    return MulticlassJaccardIndex(task.outputs, ignore_index=UNLABELLED, validate_args=False)


def rmse(task: Task) -> Metric:  # noqa: ARG001  # the factories' common signature
    """Root of the mean squared error over all pixels, in the target's unit."""
    return _RootMeanSquare()


def angular_error(task: Task) -> Metric:  # noqa: ARG001
    """Mean angle between predicted and true direction over all pixels, in degrees."""
    return _AngularError()


def average_precision(task: Task) -> Metric:  # noqa: ARG001
    """Area under precision over recall of all pixels, at 200 thresholds, in [0, 1]."""
    return _EdgePrecision()


class _RootMeanSquare(MeanSquaredError):
    def __init__(self) -> None:
        super().__init__(squared=False)

    def update(self, predicted: Tensor, target: Tensor) -> None:
        known = target.isfinite()
        super().update(predicted[known], target[known])


class _EdgePrecision(BinaryAveragePrecision):
    def __init__(self) -> None:
        super().__init__(thresholds=200, ignore_index=UNLABELLED, validate_args=False)

    def update(self, predicted: Tensor, target: Tensor) -> None:
        super().update(predicted.sigmoid(), target.long())


class _AngularError(Metric):
    full_state_update = False

    degrees: Tensor
    pixels: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("degrees", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("pixels", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        known = target.isfinite().all(dim=1)
        angle = cosine(predicted, target.nan_to_num())[known].clamp(-1, 1).acos()
        self.degrees += angle.rad2deg().double().sum()
        self.pixels += known.sum()

    def compute(self) -> Tensor:
        return self.degrees / self.pixels
