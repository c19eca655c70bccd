"""How far predicted numbers are from true ones: depth and regression."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

from branchsearch.task import Task
from branchsearch.train.labels import known

#: The least distance, in the target's unit, that is taken for predicted: others have no logarithm.
NEAREST = 1e-3


def rmse(task: Task) -> Metric:  # noqa: ARG001  # the factories' common signature
    """Root of the mean squared error over all labels together, in the target's unit."""
    return _RootMeanSquare()


def mean_absolute_error(task: Task) -> Metric:  # noqa: ARG001
    """Mean absolute error over all labels together, in the target's unit."""
    return _MeanAbsolute()


def log_rmse(task: Task) -> Metric:  # noqa: ARG001
    """The same root for natural logarithms of distances.

    A prediction below ``NEAREST`` counts as that; a target of 0 or less counts as missing.

    Source: D. Eigen, C. Puhrsch and R. Fergus, "Depth Map Prediction from a Single Image using a
    Multi-Scale Deep Network", NeurIPS 2014, section 4.2.
    """
    return _RootMeanSquareOfLogs()


class _RootMeanSquare(MeanSquaredError):
    def __init__(self) -> None:
        super().__init__(squared=False)

    def update(self, predicted: Tensor, target: Tensor) -> None:
        there = known(target)
        super().update(predicted[there].float(), target[there].float())


class _MeanAbsolute(MeanAbsoluteError):
    def update(self, predicted: Tensor, target: Tensor) -> None:
        there = known(target)
        super().update(predicted[there].float(), target[there].float())


class _RootMeanSquareOfLogs(MeanSquaredError):
    def __init__(self) -> None:
        super().__init__(squared=False)

    def update(self, predicted: Tensor, target: Tensor) -> None:
        there = known(target) & (target > 0)
        near = predicted[there].float().clamp(min=NEAREST)
        super().update(near.log(), torch.log(target[there].float()))
