"""How far predicted directions are from true ones: surface normals.

Source of the three figures: D. Eigen and R. Fergus, "Predicting Depth, Surface Normals and Semantic
Labels with a Common Multi-Scale Convolutional Architecture", ICCV 2015, section 5.2.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from branchsearch.task import Task
from branchsearch.train.labels import filled, known_directions
from branchsearch.train.losses import cosine
from branchsearch.train.metrics.mean import MeanOverLabels

#: Degrees that count as right: half of the 22.5 that part eight directions evenly.
RIGHT = 11.25

#: How finely the median is told, in degrees.
FINENESS = 0.01


def angular_error(task: Task) -> Metric:  # noqa: ARG001  # the factories' common signature
    """Mean angle between predicted and true direction over all pixels, in degrees."""
    return MeanOverLabels(_degrees)


def median_angular_error(task: Task) -> Metric:  # noqa: ARG001
    """Median of that angle over all pixels, in degrees, to ``FINENESS``."""
    return _MedianAngle()


def within_11_degrees(task: Task) -> Metric:  # noqa: ARG001
    """Share of the pixels whose angle is below 11.25 degrees, in [0, 1]."""
    return MeanOverLabels(_is_right)


class _MedianAngle(Metric):
    """Counts angles in narrow bins: a median of all pixels takes no memory of all pixels."""

    full_state_update = False

    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        bins = round(180 / FINENESS) + 1
        self.add_state("counts", torch.zeros(bins, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Take a batch into account."""
        bins = (_degrees(predicted.float(), target) / FINENESS).round().long()
        self.counts += bins.bincount(minlength=len(self.counts))

    def compute(self) -> Tensor:
        """The angle that half of the pixels do not exceed."""
        below = self.counts.cumsum(0)
        if below[-1] == 0:
            return torch.full((), torch.nan, device=below.device)
        return FINENESS * torch.searchsorted(below, (below[-1] + 1) // 2)


def _degrees(
    predicted: Float[Tensor, "batch 3 height width"],
    target: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, " n"]:
    there = known_directions(target)
    degrees: Tensor = cosine(predicted, filled(target))[there].clamp(-1, 1).acos().rad2deg()
    return degrees


def _is_right(predicted: Tensor, target: Tensor) -> Tensor:
    return (_degrees(predicted, target) < RIGHT).float()
