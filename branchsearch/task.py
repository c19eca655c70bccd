"""What a network is asked to predict, and how that is judged."""

from dataclasses import dataclass
from enum import StrEnum

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
    "mean_iou": Direction.MAXIMIZE,
    "rmse": Direction.MINIMIZE,
    "angular_error": Direction.MINIMIZE,
    "average_precision": Direction.MAXIMIZE,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What all tasks of one kind have in common; the names are looked up in the catalog.

    Attributes:
        loss: The loss that trains it.
        metrics: What may judge it.
        head: The head from the backbone's features to the prediction.
        outputs: Channels of the prediction; None where the task says how many classes it has.
    """

    loss: str
    metrics: tuple[str, ...]
    head: str
    outputs: int | None


#: Segmentation, depth, normals and edges: the dense tasks of NYUD-v2 and PASCAL-Context.
KINDS = {
    "segmentation": Kind("cross_entropy", ("mean_iou",), "dense", None),
    "depth": Kind("absolute_error", ("rmse",), "dense", 1),
    "normals": Kind("cosine_distance", ("angular_error",), "dense", 3),
    "edges": Kind("balanced_binary", ("average_precision",), "dense", 1),
}


@dataclass(frozen=True, slots=True)
class Task:
    """One prediction goal with its loss and metric.

    Attributes:
        name: As trees and labels name it.
        kind: One of ``KINDS``.
        metric: One of the kind's metrics.
        direction: Which way that metric improves; stated by whoever names the metric, and checked.
        classes: How many classes, for segmentation alone.
        weight: Factor of its loss, positive, without unit.

    Raises:
        ValueError: The parts do not fit together; the message says which would.
    """

    name: str
    kind: str
    metric: str
    direction: Direction
    classes: int | None = None
    weight: float = 1.0

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
        if (self.classes is None) != (kind.outputs is not None):
            needs = (
                "takes no classes" if kind.outputs is not None else "needs its number of classes"
            )
            raise ValueError(f"task {self.name!r}: {self.kind} {needs}")
        if self.classes is not None and self.classes < 2:
            raise ValueError(f"task {self.name!r}: needs at least 2 classes, got {self.classes}")
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"task {self.name!r}: weight must be positive, got {self.weight}")

    @property
    def outputs(self) -> int:
        """Channels of the prediction."""
        outputs = KINDS[self.kind].outputs or self.classes
        assert outputs is not None  # checked at birth
        return outputs
