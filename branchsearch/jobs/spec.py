"""What a job asks for, as checked values; ``branchsearch.jobs.reading`` makes them from text."""

import inspect
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PydanticSchemaGenerationError,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from branchsearch import catalog
from branchsearch.datasets.augmentation import Augmentation
from branchsearch.model.heads import gives_map
from branchsearch.space.cost import COSTS
from branchsearch.space.limits import Limits, PairLimit
from branchsearch.task import KINDS, Direction, Head, Task
from branchsearch.train.recipe import Recipe
from branchsearch.tree import check_task_name

API_VERSION = "branchsearch/v1"


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Component(_Spec):
    """Something of the catalog, by name, with its arguments."""

    name: str = Field(description="a name in the catalog")
    args: dict[str, Any] = Field(default={}, description="its keyword arguments")


def _known(kind: str, given: Sequence[str]) -> AfterValidator:
    """Check name and arguments, as far as that goes without building anything.

    Args:
        kind: Of the catalog.
        given: Arguments that the job itself passes, and so no spec may.
    """

    def check(component: Component) -> Component:
        try:
            found = catalog.find(kind, component.name)
        except ImportError as error:  # an extra that is not installed; it says which
            raise ValueError(f"{kind} {component.name!r}: {error}") from None
        signature = inspect.signature(found, eval_str=True)
        takes = {
            name: parameter
            for name, parameter in signature.parameters.items()
            if name not in given and parameter.kind is parameter.KEYWORD_ONLY
        }
        if unknown := sorted(component.args.keys() - takes.keys()):
            raise ValueError(
                f"{kind} {component.name!r} takes no {', '.join(map(repr, unknown))}; "
                f"it takes {', '.join(takes) or 'no arguments'}"
            )
        needed = {name for name, p in takes.items() if p.default is p.empty}
        if missing := sorted(needed - component.args.keys()):
            raise ValueError(f"{kind} {component.name!r} needs {', '.join(missing)}")
        for name, value in component.args.items():
            if fault := _misfit(value, takes[name].annotation):
                raise ValueError(f"{kind} {component.name!r}: {name}: {fault}")
        return component

    return AfterValidator(check)


def _misfit(value: Any, annotation: Any) -> str | None:  # noqa: ANN401  # any YAML value, any type
    """What is wrong with a value for a parameter; None where nothing is, or the type says nothing.

    As JSON: in that a list may stand for a tuple and an integer for a float, and nothing else is
    taken for what it is not.
    """
    if annotation is inspect.Parameter.empty:
        return None
    try:
        expected: TypeAdapter[Any] = TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        return None  # a type of its own, which no text can be checked against
    try:
        expected.validate_json(json.dumps(value, allow_nan=False), strict=True)
    except ValidationError as invalid:
        faults = invalid.errors(include_url=False)  # of a union, one for each of its types
        wanted = " or ".join(dict.fromkeys(fault["msg"] for fault in faults))
        return f"{wanted}, not {faults[-1]['input']!r}"
    except ValueError:
        return f"numbers are finite, not {value!r}"
    except TypeError:
        return f"holds what is neither number, text, list nor mapping: {value!r}"
    return None


def _by_name(given: Any) -> Any:  # noqa: ANN401  # any YAML value
    return {"name": given} if isinstance(given, str) else given


class TaskSpec(_Spec):
    """One task; its name is one of the data set's labels."""

    name: str = Field(description="a label of the data set")
    kind: str = Field(description="one of the kinds below")
    metric: str = Field(description="one of the kind's metrics")
    direction: Direction = Field(description="which way the metric improves; checked")
    classes: int | None = Field(
        default=None, description="how many, for classification and segmentation alone"
    )
    weight: float = Field(default=1.0, description="factor of its loss, positive")
    count: int | None = Field(
        default=None, description="how many attributes, numbers or keypoints, for these alone"
    )
    head: Annotated[Component, BeforeValidator(_by_name), _known("head", [])] | None = Field(
        default=None, description="a name, or name and args; default: the kind's own"
    )

    @model_validator(mode="after")
    def _is_a_task(self) -> Self:
        self.task()
        return self

    @model_validator(mode="after")
    def _head_gives_what_the_kind_predicts(self) -> Self:
        kind = KINDS[self.kind]
        if self.head is None or gives_map(catalog.find("head", self.head.name)) == kind.is_map:
            return self
        fit = [
            name
            for name in catalog.names("head")
            if gives_map(catalog.find("head", name)) == kind.is_map
        ]
        raise ValueError(
            f"task {self.name!r}: head {self.head.name!r} does not predict {self.kind}; "
            f"these do: {', '.join(fit)}"
        )

    def task(self) -> Task:
        """The value that the rest of the house works with."""
        head = self.head and Head(self.head.name, self.head.args)
        return Task(**{**self.model_dump(), "head": head})


class PairLimitSpec(_Spec):
    """How long two tasks go together."""

    tasks: tuple[str, str] = Field(description="the two")
    least: int = Field(default=0, ge=0, description="stages that they share at least")
    most: int | None = Field(
        default=None, ge=0, description="stages that they share at most; 0: none"
    )


class LimitsSpec(_Spec):
    """What a tree must keep to."""

    fewest: tuple[int, ...] = Field(
        default=(), description="per stage the least number of branches; T: nothing shared"
    )
    most: tuple[int, ...] = Field(
        default=(), description="per stage the most branches; 1: all tasks share"
    )
    pairs: tuple[PairLimitSpec, ...] = Field(
        default=(), description="tasks that must or must not share"
    )

    def limits(self) -> Limits:
        """The value that the rest of the house works with."""
        pairs = (PairLimit(pair.tasks, pair.least, pair.most) for pair in self.pairs)
        return Limits(self.fewest, self.most, tuple(pairs))


class SpaceSpec(_Spec):
    """What is searched: images, tasks, a backbone and the trees that may be built."""

    dataset: Annotated[Component, BeforeValidator(_by_name), _known("dataset", [])] = Field(
        description="images and labels: name and args"
    )
    backbone: Annotated[Component, BeforeValidator(_by_name), _known("backbone", [])] = Field(
        description="the stages: a name, or name and args"
    )
    tasks: tuple[TaskSpec, ...] = Field(min_length=1, description="what is predicted")
    may_split: tuple[bool, ...] | None = Field(
        default=None,
        description="for each stage whether branches may part there; default: everywhere",
    )
    limits: LimitsSpec = Field(default=LimitsSpec(), description="what a tree must keep to")

    @model_validator(mode="after")
    def _task_names_differ(self) -> Self:
        names = [task.name for task in self.tasks]
        for name in names:
            check_task_name(name)
            if names.count(name) > 1:
                raise ValueError(f"two tasks are named {name!r}")
        return self

    def sorted_tasks(self) -> tuple[Task, ...]:
        """The tasks by name, as trees have them."""
        return tuple(sorted((spec.task() for spec in self.tasks), key=lambda task: task.name))


class Metadata(_Spec):
    """What people call the job."""

    name: str = Field(min_length=1, max_length=200, description="shown in lists and reports")


class Objective(_Spec):
    """What is to be improved."""

    metric: Literal["delta", "parameters", "multiply_adds"] = Field(
        description="delta (gain over single-task networks, percent), parameters or multiply_adds"
    )
    direction: Direction = Field(description="maximize for delta, minimize for a cost; checked")

    @model_validator(mode="after")
    def _direction_is_right(self) -> Self:
        right = Direction.MAXIMIZE if self.metric == "delta" else Direction.MINIMIZE
        if self.direction != right:
            raise ValueError(f"direction of {self.metric} is {right}, not {self.direction}")
        return self


class Constraint(_Spec):
    """An upper bound on a cost; trees above it are never trained."""

    metric: Literal["parameters", "multiply_adds"] = Field(
        description="parameters, or multiply_adds per image"
    )
    max: int = Field(gt=0, description="the largest value allowed")


class AffinitySpec(_Spec):
    """How alike the tasks are is measured, before the search and as a hint to it."""

    measures: tuple[str, ...] = Field(
        default=("rsa",),
        min_length=1,
        description="names in the catalog; samplers use the first, reports show all",
    )
    draws: int = Field(
        default=200,
        ge=0,
        description="resamplings and permutations behind intervals and chance levels; 0 for none",
    )
    batches: int = Field(
        default=16,
        ge=1,
        description="training batches that gradient_cosine and tag read",
    )

    @model_validator(mode="after")
    def _measures_are_known(self) -> Self:
        for name in self.measures:
            catalog.check("affinity", name)
        if len(set(self.measures)) != len(self.measures):
            raise ValueError(f"a measure is named twice: {', '.join(self.measures)}")
        return self


class Fidelity(_Spec):
    """Which trials are stopped early."""

    scheduler: Literal["halving", "learning_curve", "none"] = Field(
        default="halving",
        description="halving: at epoch min, min·eta, ... only the best 1/eta go on; "
        "learning_curve: from epoch min on whoever will hardly become the best ends; or none",
    )
    min: int = Field(default=2, ge=1, description="epochs before the first comparison")
    eta: int = Field(default=2, ge=2, description="of halving: one of so many goes on")
    chance: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="of learning_curve: whose chance to become the best is smaller ends",
    )


class AugmentationSpec(_Spec):
    """How much the training images are changed by chance, their targets with them."""

    flip: float = Field(default=0.0, ge=0, le=1, description="chance to be mirrored")
    zoom: float = Field(default=1.0, ge=1, description="largest zoom; a window anywhere")
    colour: float = Field(
        default=0.0, ge=0, lt=1, description="largest change of brightness, contrast, saturation"
    )


class RecipeSpec(_Spec):
    """How a network is trained."""

    epochs: int = Field(default=8, ge=1, description="passes over the training images")
    batch_size: int = Field(default=32, ge=1, description="images per step")
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="adamw or sgd")
    learning_rate: float = Field(default=0.01, gt=0, description="after warm-up")
    weight_decay: float = Field(default=0.01, ge=0, description="of the optimizer")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd")
    warm_up: float = Field(default=0.1, ge=0, lt=1, description="share of all steps")
    schedule: Literal["cosine", "poly", "constant"] = Field(
        default="cosine",
        description="how the learning rate falls after warm-up: cosine, poly or constant",
    )
    power: float = Field(default=0.9, gt=0, description="of poly")
    averaging: float = Field(
        default=0.98, ge=0, lt=1, description="decay per step of the weights' moving average"
    )
    balancing: Annotated[Component, BeforeValidator(_by_name), _known("balancing", [])] = Field(
        default=Component(name="equal_start"),
        description="how the tasks' losses are weighed: a name, or name and args",
    )
    floors: dict[str, PositiveFloat] = Field(
        default={},
        description="by task: the training loss below which it is solved and not trained on",
    )
    shared_gradient: Literal["mean", "sum"] = Field(
        default="mean", description="of a shared branch over its tasks: mean or sum"
    )
    accumulate: int = Field(
        default=1, ge=1, description="parts in which a step's images are run, to save memory"
    )
    clip: float | None = Field(
        default=None, gt=0, description="longest gradient taken as it is; longer ones are cut"
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="of forward and backward pass; weights stay float32"
    )
    compiled: bool = Field(
        default=False, description="torch.compile, about a minute before the first step"
    )

    augmentation: AugmentationSpec = Field(
        default=AugmentationSpec(), description="of the training images; none by default"
    )
    inherit: Literal["scratch", "copy", "mean"] = Field(
        default="scratch",
        description="first weights of a branch: the backbone's own (scratch), or the single-task "
        "networks', of one (copy) or all (mean) of its tasks",
    )

    def recipe(self) -> Recipe:
        """The value that the rest of the house works with."""
        rest = self.model_dump(exclude={"balancing", "inherit", "augmentation"})
        return Recipe(**rest, augmentation=Augmentation(**self.augmentation.model_dump()))


class TunedSpec(_Spec):
    """What a value of the job may be instead: one of some, or a number of a range."""

    choices: tuple[Any, ...] | None = Field(
        default=None, min_length=2, description="the values, any that the job could have there"
    )
    low: int | float | None = Field(default=None, description="the least number")
    high: int | float | None = Field(default=None, description="the largest")
    step: int | float | None = Field(default=None, gt=0, description="between two numbers")
    log: bool = Field(default=False, description="whether each factor is as likely as another")

    @model_validator(mode="after")
    def _is_choices_or_range(self) -> Self:
        numbers = (self.low, self.high, self.step)
        if self.choices is not None and (self.log or any(n is not None for n in numbers)):
            raise ValueError("it has either choices, or low and high")
        if self.choices is None and (self.low is None or self.high is None):
            raise ValueError("it needs choices, or low and high")
        return self


class Confirmation(_Spec):
    """How the best trees and the baselines are trained in the end."""

    trees: int = Field(
        default=2, ge=1, description="how many of the best trees, beside the shared one"
    )
    epochs: int = Field(default=16, ge=1, description="passes over the training images")
    seeds: int = Field(default=2, ge=1, description="trainings of each network")


class Budget(_Spec):
    """When the search is over."""

    max_trials: int = Field(default=12, ge=1, description="trials trained to the end or stopped")
    max_consecutive_failures: int = Field(
        default=3, ge=1, description="failed trials in a row that end the job"
    )
    max_seconds: PositiveFloat | None = Field(
        default=None,
        description="seconds of search, over all runs of the job, after which no trial begins",
    )
    max_gpu_hours: PositiveFloat | None = Field(
        default=None,
        description="GPU-hours of the job's trainings, of every step, after which no trial begins",
    )
    cost_per_hour: PositiveFloat | None = Field(
        default=None,
        description="price of an hour of one training, with all that it holds, in any currency",
    )
    max_cost: PositiveFloat | None = Field(
        default=None,
        description="cost of the job's trainings, of every step, after which no trial begins",
    )
    max_seconds_per_trial: PositiveFloat | None = Field(
        default=None,
        description="seconds of one trial, all attempts together; then its process is ended",
    )

    @model_validator(mode="after")
    def _cost_has_a_price(self) -> Self:
        if self.max_cost is not None and self.cost_per_hour is None:
            raise ValueError("max_cost needs cost_per_hour")
        return self


class Resources(_Spec):
    """What trains at once, and with how much of the machine."""

    max_concurrent_trials: int = Field(default=2, ge=1, description="trainings at once")
    num_cpus: int = Field(default=1, ge=1, description="cores, and threads, of one training")
    num_gpus: float = Field(
        default=0, ge=0, description="GPUs of one training; fractions below 1, else whole numbers"
    )

    @model_validator(mode="after")
    def _gpus_can_be_shared_out(self) -> Self:
        if self.num_gpus > 1 and self.num_gpus != int(self.num_gpus):
            raise ValueError(f"num_gpus above 1 must be whole, not {self.num_gpus}")
        return self


class Retries(_Spec):
    """When a training that failed runs again."""

    max_per_trial: int = Field(
        default=2, ge=0, description="how often it runs again after its process was killed"
    )
    after_exception: int = Field(
        default=0, ge=0, description="the same after an exception; never for want of memory"
    )


class Reproducibility(_Spec):
    """Where randomness comes from."""

    seed: int = Field(default=0, ge=0, description="of every random draw of the job")


_DELTA = Objective(metric="delta", direction=Direction.MAXIMIZE)


class JobSpec(_Spec):
    """A complete job."""

    api_version: Literal["branchsearch/v1"] = Field(description=f"always {API_VERSION}")
    kind: Literal["Search"] = Field(description="always Search")
    metadata: Metadata = Field(description="what people call the job")
    space: SpaceSpec = Field(description="a name in search_spaces/, a file, or the space itself")
    objectives: tuple[Objective, ...] = Field(
        default=(_DELTA,), min_length=1, description="one of them is delta"
    )
    constraints: tuple[Constraint, ...] = Field(
        default=(), description="upper bounds on costs, at most one of each"
    )
    sampler: Annotated[Component, BeforeValidator(_by_name), _known("sampler", ["problem"])] = (
        Field(
            default=Component(name="tpe"),
            description="what proposes the next tree: a name, or name and args",
        )
    )
    trees: tuple[str, ...] = Field(
        default=(), description="trees to try first, as in: a+b+c > a+b,c > a,b,c"
    )
    affinity: AffinitySpec = Field(
        default=AffinitySpec(), description="how alike the tasks are, measured before the search"
    )
    fidelity: Fidelity = Field(default=Fidelity(), description="early stopping")
    trial: RecipeSpec = Field(default=RecipeSpec(), description="how trials are trained")
    tuned: dict[str, TunedSpec] = Field(
        default={},
        description="values that are searched beside the tree, by path, as in trial.learning_rate",
    )
    confirm: Confirmation = Field(default=Confirmation(), description="the final trainings")
    budget: Budget = Field(default=Budget(), description="when the search is over")
    resources: Resources = Field(default=Resources(), description="of the trainings")
    retries: Retries = Field(default=Retries(), description="after failures")
    reproducibility: Reproducibility = Field(
        default=Reproducibility(), description="where randomness comes from"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        metrics = [objective.metric for objective in self.objectives]
        if "delta" not in metrics or len(set(metrics)) != len(metrics):
            raise ValueError(f"objectives are delta, and each cost at most once, not {metrics}")
        names = [task.name for task in self.space.tasks]
        if strangers := sorted(self.trial.floors.keys() - set(names)):
            raise ValueError(f"floors of {', '.join(strangers)}, which are no tasks of the space")
        bounded = [constraint.metric for constraint in self.constraints]
        if len(set(bounded)) != len(bounded):
            raise ValueError(f"two constraints bound the same cost: {bounded}")
        if self.budget.max_gpu_hours is not None and not self.resources.num_gpus:
            raise ValueError("budget.max_gpu_hours needs resources.num_gpus")
        return self

    @property
    def upper_bounds(self) -> dict[str, int]:
        """The budget on costs, by name."""
        return {constraint.metric: constraint.max for constraint in self.constraints}


assert set(COSTS) == {"parameters", "multiply_adds"}  # Literal cannot be computed
