"""A mean over labels, whatever is taken the mean of."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric

#: From prediction and target to one number for each label that is there, shape [n].
PerLabel = Callable[[Tensor, Tensor], Tensor]


class MeanOverLabels(Metric):
    """The mean of a number per label over all batches; NaN without labels."""

    full_state_update = False

    total: Tensor
    labels: Tensor

    def __init__(self, per_label: PerLabel) -> None:
        super().__init__()
        self.per_label = per_label
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("labels", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Take a batch into account."""
        numbers = self.per_label(predicted.float(), target)
        self.total += numbers.double().sum()
        self.labels += numbers.numel()

    def compute(self) -> Tensor:
        """The mean over all labels so far."""
        return self.total / self.labels
