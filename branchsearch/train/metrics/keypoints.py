"""How far predicted keypoints are from true ones.

A keypoint is where its heat map is highest. One counts where its true map is complete and not 0
throughout, so that it is known to be in sight, and known where.
"""

from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from branchsearch.task import Task
from branchsearch.train.labels import filled, known
from branchsearch.train.metrics.mean import MeanOverLabels

#: How near is right, as a share of the image's longer side.
NEAR = 0.1


def keypoint_error(task: Task) -> Metric:  # noqa: ARG001  # the factories' common signature
    """Mean distance between predicted and true place over all keypoints, in pixels."""
    return MeanOverLabels(_distances)


def pck(task: Task) -> Metric:  # noqa: ARG001
    """Share of the keypoints that are no farther off than ``NEAR``, in [0, 1].

    Source: Y. Yang and D. Ramanan, "Articulated Human Detection with Flexible Mixtures of Parts",
    TPAMI 2013, section 7; the image stands in for the person's box, which is not among the labels.
    """
    return MeanOverLabels(_is_near)


def _distances(
    predicted: Float[Tensor, "batch points height width"],
    target: Float[Tensor, "batch points height width"],
) -> Float[Tensor, " n"]:
    truth = filled(target)
    seen = known(target).flatten(2).all(dim=2) & (truth.flatten(2).amax(dim=2) > 0)
    off: Tensor = (_places(predicted) - _places(truth))[seen]
    return off.float().square().sum(dim=1).sqrt()


def _is_near(predicted: Tensor, target: Tensor) -> Tensor:
    return (_distances(predicted, target) <= NEAR * max(target.shape[-2:])).float()


def _places(
    maps: Float[Tensor, "batch points height width"],
) -> Int[Tensor, "batch points 2"]:
    """Row and column of the highest value; the first of several."""
    width = maps.shape[-1]
    highest = maps.flatten(2).argmax(dim=2)
    return highest.unsqueeze(-1).div(
        highest.new_tensor([width, 1]), rounding_mode="floor"
    ) % highest.new_tensor([maps.shape[-2], width])
