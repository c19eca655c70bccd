"""How a network is trained, as a value."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from branchsearch.datasets.augmentation import Augmentation


class Optimizer(StrEnum):
    """What steps along the gradients."""

    ADAMW = "adamw"
    SGD = "sgd"


class Schedule(StrEnum):
    """How the learning rate falls after warm-up, to 0 behind the last step unless constant."""

    COSINE = "cosine"
    POLY = "poly"
    CONSTANT = "constant"


class Precision(StrEnum):
    """In what numbers a network is run while it is trained; weights stay in float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class SharedGradient(StrEnum):
    """What a shared copy of a stage is stepped along: the mean or the sum over its tasks."""

    MEAN = "mean"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained; the same for every tree of a search.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step, of all processes together.
        learning_rate: After warm-up.
        weight_decay: Of the optimiser, on every weight.
        warm_up: Share of all steps, in [0, 1), in which the learning rate rises linearly.
        averaging: Decay per step, in [0, 1), of the moving average of the weights that is judged
            and kept; 0 keeps the last weights.
        optimizer: What steps.
        momentum: Of SGD, in [0, 1).
        schedule: How the learning rate falls.
        power: Of the polynomial schedule, positive.
        accumulate: In how many parts a step's images go through the network, at least 1; less
            memory, the same step but for batch norm, unless the balancing goes by gradients.
        clip: Longest gradient of all weights together that is taken as it is; a longer one is cut
            to this length. None cuts nothing.
        precision: Of the forward and backward pass.
        compiled: Whether the network goes through ``torch.compile``, which takes about a minute
            before the first step.
        shared_gradient: What a copy of a stage is stepped along that several tasks use.
        floors: By task, the mean training loss of an epoch at which the task counts as solved: in
            the epoch after, its loss is not trained on.
        augmentation: How much the training images are changed by chance.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warm_up: float
    averaging: float
    optimizer: str = Optimizer.ADAMW
    momentum: float = 0.9
    schedule: str = Schedule.COSINE
    power: float = 0.9
    accumulate: int = 1
    clip: float | None = None
    precision: str = Precision.FLOAT32
    compiled: bool = False
    shared_gradient: str = SharedGradient.MEAN
    floors: Mapping[str, float] = field(default_factory=dict)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def of(self, tasks: Collection[str]) -> "Recipe":
        """The recipe of a network that has some of the tasks."""
        return replace(self, floors={task: at for task, at in self.floors.items() if task in tasks})
