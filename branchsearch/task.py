"""What a network is asked to predict, and how that is judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from branchsearch.tree import check_task_name


class Direction(StrEnum):
    """Which way a metric improves."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if self is Direction.MAXIMIZE else -1


#: Every metric and the way it improves. A wrong direction would turn the sign of the gain.
METRICS = {
    "accuracy": Direction.MAXIMIZE,
    "balanced_accuracy": Direction.MAXIMIZE,
    "mean_f1": Direction.MAXIMIZE,
    "mean_average_precision": Direction.MAXIMIZE,
    "rmse": Direction.MINIMIZE,
    "mean_absolute_error": Direction.MINIMIZE,
    "log_rmse": Direction.MINIMIZE,
    "mean_iou": Direction.MAXIMIZE,
    "pixel_accuracy": Direction.MAXIMIZE,
    "angular_error": Direction.MINIMIZE,
    "median_angular_error": Direction.MINIMIZE,
    "within_11_degrees": Direction.MAXIMIZE,
    "average_precision": Direction.MAXIMIZE,
    "edge_f": Direction.MAXIMIZE,
    "saliency_f": Direction.MAXIMIZE,
    "saliency_iou": Direction.MAXIMIZE,
    "keypoint_error": Direction.MINIMIZE,
    "pck": Direction.MAXIMIZE,
}

#: Class numbers of pixels are kept in a byte, and 255 means that nobody labelled the pixel.
MOST_PIXEL_CLASSES = 255


@dataclass(frozen=True, slots=True)
class Kind:
    """What all tasks of one kind have in common; the names are looked up in the catalog.

    Attributes:
        loss: The loss that trains it.
        metrics: What may judge it.
        head: The head from the backbone's features to the prediction, unless the task names one.
        is_map: Whether it predicts numbers for every pixel, and not for the image.
        outputs: Channels of the prediction; None where the task says how many.
        says: Where it does: ``classes`` or ``count``, the task's attribute; else empty.
        counted: What is counted there, for messages; else empty.
    """

    loss: str
    metrics: tuple[str, ...]
    head: str
    is_map: bool
    outputs: int | None = None
    says: str = ""
    counted: str = ""


#: Targets of each kind: ``branchsearch.datasets.dataset.Part``.
KINDS = {
    "classification": Kind(
        "cross_entropy",
        ("accuracy", "balanced_accuracy", "mean_f1"),
        "linear",
        is_map=False,
        says="classes",
        counted="classes",
    ),
    "attributes": Kind(
        "binary",
        ("balanced_accuracy", "accuracy", "mean_f1", "mean_average_precision"),
        "linear",
        is_map=False,
        says="count",
        counted="attributes",
    ),
    "regression": Kind(
        "squared_error",
        ("rmse", "mean_absolute_error"),
        "linear",
        is_map=False,
        says="count",
        counted="numbers",
    ),
    "segmentation": Kind(
        "cross_entropy",
        ("mean_iou", "pixel_accuracy"),
        "dense",
        is_map=True,
        says="classes",
        counted="classes",
    ),
    "depth": Kind(
        "absolute_error",
        ("rmse", "log_rmse", "mean_absolute_error"),
        "dense",
        is_map=True,
        outputs=1,
    ),
    "normals": Kind(
        "cosine_distance",
        ("angular_error", "median_angular_error", "within_11_degrees"),
        "dense",
        is_map=True,
        outputs=3,
    ),
    "edges": Kind(
        "balanced_binary",
        ("average_precision", "edge_f"),
        "dense",
        is_map=True,
        outputs=1,
    ),
    "saliency": Kind(
        "balanced_binary",
        ("saliency_f", "saliency_iou"),
        "dense",
        is_map=True,
        outputs=1,
    ),
    "keypoints": Kind(
        "squared_error",
        ("keypoint_error", "pck"),
        "dense",
        is_map=True,
        says="count",
        counted="keypoints",
    ),
}


@dataclass(frozen=True, slots=True)
class Head:
    """A head of the catalog, with its arguments."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Task:
    """One prediction goal with its loss and metric.

    Attributes:
        name: As trees and labels name it.
        kind: One of ``KINDS``.
        metric: One of the kind's metrics.
        direction: Which way that metric improves; stated by whoever names the metric, and checked.
        classes: How many classes, for classification and segmentation alone.
        weight: Factor of its loss, positive, without unit.
        count: How many attributes, numbers or keypoints, for these three kinds alone.
        head: From the backbone's features to the prediction; None takes the kind's own.

    Raises:
        ValueError: The parts do not fit together; the message says which would.
    """

    name: str
    kind: str
    metric: str
    direction: Direction
    classes: int | None = None
    weight: float = 1.0
    count: int | None = None
    head: Head | None = None

    def __post_init__(self) -> None:
        check_task_name(self.name)
        if self.kind not in KINDS:
            raise ValueError(
                f"task {self.name!r}: no kind {self.kind!r}; there are {sorted(KINDS)}"
            )
        kind = KINDS[self.kind]
        if self.metric not in kind.metrics:
            raise ValueError(
                f"task {self.name!r}: {self.kind} is not judged by {self.metric!r} "
                f"but by one of {list(kind.metrics)}"
            )
        right = METRICS[self.metric]
        if self.direction != right:
            raise ValueError(
                f"task {self.name!r}: direction of {self.metric} is {right}, not {self.direction}"
            )
        for said in ("classes", "count"):
            self._check_number(said, kind)
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"task {self.name!r}: weight must be positive, got {self.weight}")

    def _check_number(self, said: str, kind: Kind) -> None:
        number = getattr(self, said)
        if (number is None) != (kind.says != said):
            needs = f"needs its number of {kind.counted}, as {said}" if number is None else ""
            raise ValueError(f"task {self.name!r}: {self.kind} {needs or f'takes no {said}'}")
        if number is None:
            return
        least = 2 if said == "classes" else 1
        if number < least:
            raise ValueError(
                f"task {self.name!r}: needs at least {least} {kind.counted}, got {number}"
            )
        if said == "classes" and kind.is_map and number > MOST_PIXEL_CLASSES:
            raise ValueError(
                f"task {self.name!r}: pixels have at most {MOST_PIXEL_CLASSES} classes, "
                f"got {number}"
            )

    @property
    def outputs(self) -> int:
        """Channels of the prediction."""
        outputs = KINDS[self.kind].outputs or self.classes or self.count
        assert outputs is not None  # checked at birth
        return outputs

    @property
    def head_or_default(self) -> Head:
        """The head that it names, or else its kind's."""
        return self.head or Head(KINDS[self.kind].head)
