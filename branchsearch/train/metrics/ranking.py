"""How well what is there is ranked before what is not: areas under precision over recall."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import BinaryAveragePrecision
from torchmetrics.functional.classification import binary_average_precision
from torchmetrics.utilities import dim_zero_cat

from branchsearch.datasets.dataset import UNLABELLED
from branchsearch.task import Task
from branchsearch.train.labels import filled, known


def average_precision(task: Task) -> Metric:  # noqa: ARG001  # the factories' common signature
    """Area under precision over recall of all pixels, at 200 thresholds, in [0, 1].

    Pixels are compared where they are: an edge beside the true one is wrong.
    """
    return _EdgePrecision()


class _EdgePrecision(BinaryAveragePrecision):
    thresholds: Tensor  # type: ignore[assignment]  # None only where every score is one
    confmat: Tensor

    def __init__(self) -> None:
        super().__init__(thresholds=200, ignore_index=UNLABELLED, validate_args=False)

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Count, as torchmetrics does, but look at each pixel once and not at every threshold.

        That took as long as all else in training a small network for edges.
        """
        there = target != UNLABELLED
        scores, truth = predicted.float().sigmoid()[there], target[there].long()
        reached = torch.bucketize(scores, self.thresholds, right=True)
        bins = 2 * (len(self.thresholds) + 1)
        counts = torch.bincount(2 * reached + truth, minlength=bins).view(-1, 2)
        below = counts.cumsum(0)
        self.confmat[:, :, 0] += below[:-1]
        self.confmat[:, :, 1] += below[-1] - below[:-1]

    def compute(self) -> Tensor:  # type: ignore[override]  # as torchmetrics overrides it
        area: Tensor = super().compute()
        return torch.where(self.confmat.sum() > 0, area, torch.nan)


class MeanAveragePrecision(Metric):
    """Mean over columns of each one's average precision; keeps all scores, a number per label.

    Args:
        attributes: Columns of prediction and target.
    """

    full_state_update = False

    scores: list[Tensor]
    truths: list[Tensor]

    def __init__(self, attributes: int) -> None:
        super().__init__()
        self.attributes = attributes
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("truths", [], dist_reduce_fx="cat")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Take a batch into account."""
        self.scores.append(predicted.float())
        self.truths.append(torch.where(known(target), filled(target), -1).long())

    def compute(self) -> Tensor:
        """The mean over the attributes that some image has."""
        scores, truths = dim_zero_cat(self.scores), dim_zero_cat(self.truths)
        areas = [
            binary_average_precision(_ranks(scores[:, column]), truths[:, column], ignore_index=-1)
            for column in range(self.attributes)
            if (truths[:, column] == 1).any()
        ]
        return torch.stack(areas).mean() if areas else torch.full((), torch.nan)


def _ranks(scores: Tensor) -> Tensor:
    """Numbers in [0, 1], [N], in the order of scores [N] of any size, and equal where they are.

    torchmetrics would put log-odds through a sigmoid, which makes the large ones equal to 1.
    """
    _, places = torch.unique(scores, return_inverse=True)
    ranks: Tensor = places.double() / len(places)
    return ranks
