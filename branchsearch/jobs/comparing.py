"""Networks side by side: exported ones, and those of jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from branchsearch.export.graphs import at_rest
from branchsearch.export.loading import load_export
from branchsearch.export.speed import latencies, peak_mib
from branchsearch.jobs.gather import Seen
from branchsearch.jobs.handing import Network, chosen, of_trial
from branchsearch.jobs.trainings import Trainings
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.cost import network_cost
from branchsearch.report.findings import mean_and_spread
from branchsearch.task import Task

#: Images at once that latency and memory are measured on.
BATCHES = (1, 32)


@dataclass(frozen=True)
class Candidate:
    """A network to be compared.

    Attributes:
        name: What the user calls it.
        network: The network.
        tasks: What it predicts.
        size: Height and width of its images, in pixels.
        facts: Of it: ``metrics`` by task, ``measured_on`` and ``delta``.
    """

    name: str
    network: BranchedNetwork
    tasks: tuple[Task, ...]
    size: tuple[int, int]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """What is known and was measured of one network.

    Attributes:
        name: What the user calls it.
        tree: Its tree's text.
        measured_on: The part of the data set that the metrics are of; None where unknown.
        metrics: By task, mean and sample standard deviation over seeds; a single number has no
            spread.
        delta: Gain over single-task networks, percent, in the same way; None where unknown.
        parameters: How many weights.
        multiply_adds: Per image.
        seconds: By images at once, of predicting them on this machine's CPU.
        mib: By images at once, the most memory that takes, weights included.
    """

    name: str
    tree: str
    measured_on: str | None
    metrics: Mapping[str, tuple[float, float | None]]
    delta: tuple[float, float | None] | None
    parameters: int
    multiply_adds: int
    seconds: Mapping[int, float]
    mib: Mapping[int, float]

    def as_json(self) -> dict[str, Any]:
        """The same as plain JSON."""
        return {
            "name": self.name,
            "tree": self.tree,
            "measured_on": self.measured_on,
            "metrics": {
                task: {"mean": mean, "spread": spread}
                for task, (mean, spread) in self.metrics.items()
            },
            "delta": None
            if self.delta is None
            else dict(zip(("mean", "spread"), self.delta, strict=True)),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "seconds": {str(batch): seconds for batch, seconds in self.seconds.items()},
            "mib": {str(batch): mib for batch, mib in self.mib.items()},
        }


def exported(folder: Path) -> Candidate:
    """An exported network.

    Raises:
        NotAnExport: It is none.
    """
    found = load_export(folder)
    return Candidate(str(folder), found.network, found.tasks, found.size, found.described)


def of_job(name: str, trainings: Trainings, seen: Seen, trial: int | None) -> Candidate:
    """The network of a job's trial; without a number, the chosen one.

    Raises:
        NothingToExport: There is none.
    """
    found: Network = chosen(trainings, seen) if trial is None else of_trial(trainings, seen, trial)
    size = seen.checked.space.collection.image_size
    return Candidate(name, found.module(), found.training.tasks, size, found.facts)


def compare(candidates: Sequence[Candidate]) -> list[Compared]:
    """Measure networks in turn, so that what else the machine does hits all of them alike."""
    networks = [at_rest(candidate.network) for candidate in candidates]
    sizes = [candidate.size for candidate in candidates]
    seconds = {batch: latencies(networks, sizes, batch=batch) for batch in BATCHES}
    compared = []
    for number, (one, network) in enumerate(zip(candidates, networks, strict=True)):
        cost = network_cost(network, one.size)
        compared.append(
            Compared(
                name=one.name,
                tree=str(network.tree),
                measured_on=one.facts.get("measured_on"),
                metrics={task: measured(value) for task, value in one.facts["metrics"].items()},
                delta=_delta(one.facts.get("delta")),
                parameters=cost.parameters,
                multiply_adds=cost.multiply_adds,
                seconds={batch: of_all[number] for batch, of_all in seconds.items()},
                mib={batch: peak_mib(network, one.size, batch=batch) for batch in BATCHES},
            )
        )
    return compared


def measured(value: float | Mapping[str, float]) -> tuple[float, float | None]:
    """A metric as facts have it: a number, or several by what they are."""
    if not isinstance(value, Mapping):
        return value, None
    if "mean" in value:
        return value["mean"], value.get("spread")
    return fmean(value.values()), None


def _delta(value: float | Sequence[float] | None) -> tuple[float, float | None] | None:
    if value is None:
        return None
    if isinstance(value, (int, float)):
        return value, None
    mean, spread = mean_and_spread(value)
    return mean, spread if len(value) > 1 else None
