"""What a job found, as plain values that figures and pages are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from branchsearch.affinity.affinity import Affinity
from branchsearch.search.tuned import Choices
from branchsearch.task import Task
from branchsearch.tree import Tree


@dataclass(frozen=True, slots=True)
class TrialResult:
    """One trial of the search.

    Attributes:
        number: Its number in the Optuna study.
        tree: What it trained.
        outcome: ``complete``, ``stopped`` (early), ``failed``, ``over_budget``, ``repeat``,
            ``lost`` or ``running``.
        delta: Gain over the single-task networks, percent, on validation; None without one.
        metrics: Each task's metric on validation, in the metric's own unit; empty without any.
        curve: Delta after each epoch.
        parameters: How many weights the network has.
        multiply_adds: Per image.
        seconds: How long it trained.
        choices: What was tuned beside the tree, by name; empty where nothing was.
    """

    number: int
    tree: Tree
    outcome: str
    delta: float | None
    metrics: Mapping[str, float]
    curve: Sequence[float]
    parameters: int
    multiply_adds: int
    seconds: float
    choices: Choices = ()


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A network (or all single-task networks together) trained fully with several seeds.

    Attributes:
        name: ``single-task networks``, ``share all`` or the tree's text.
        tree: The tree; sharing none for the single-task networks.
        metrics: Each task's metric on the test part, one number per seed.
        deltas: Gain over the single-task networks' mean, percent, one number per seed.
        parameters: How many weights.
        multiply_adds: Per image.
        chosen: Whether this is the network that is exported.
        choices: What was tuned beside the tree, by name; empty for the job's own.
    """

    name: str
    tree: Tree
    metrics: Mapping[str, Sequence[float]]
    deltas: Sequence[float]
    parameters: int
    multiply_adds: int
    chosen: bool
    choices: Choices = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a report of one job shows.

    Attributes:
        title: The job's name.
        job_id: Its id.
        tasks: The tasks, sorted by name.
        affinities: How alike the tasks are, one per measure; samplers used the first.
        trials: Every trial, by number.
        confirmed: What was trained fully; the single-task networks come first.
        budget: Upper bounds on costs, as in ``{"parameters": 250000}``.
        provenance: What made this: spec hash, data fingerprint, versions, seeds, machine.
    """

    title: str
    job_id: str
    tasks: tuple[Task, ...]
    affinities: Sequence[Affinity]
    trials: Sequence[TrialResult]
    confirmed: Sequence[Confirmed]
    budget: Mapping[str, int]
    provenance: Mapping[str, str]


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; the spread of a single number is 0."""
    return fmean(values), stdev(values) if len(values) > 1 else 0.0
