"""What the engine adds to a training: the same trainings in a bare loop and through one worker.

The two take turns, each in fresh processes. Engine runs come in pairs: one training alone, which
starts Ray and a worker, then the measured ones, which start a worker again, as every ``run_all``
does. Start-up is the time until a run's first training begins.

Overhead is counted between the beginning of the first training and the end of the last: what of it
the worker did not spend in training steps, per gap between two trainings. It holds the building of
the network (the bare loop's overhead is nothing else), the wait at each report, the end of one
trial and the beginning of the next. Whether the steps themselves are slower beside Ray is given
apart, as ``slowdown``, since it is a share of the training and not an amount. Figures are medians
of the rounds.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Self

import psutil
import typer

from benchmarks import workload
from benchmarks.measure import MIB, say
from benchmarks.workload import Amount
from branchsearch.search.engine import Engine
from branchsearch.search.source import Work

_FLOOR, _BUSY_FLOOR = 0.02, 0.97
_TRIAL = 20  # seconds, the trial that the floor speaks of


@dataclass(frozen=True, slots=True)
class Round:
    """What one run over all trainings gave, in seconds and MiB.

    Attributes:
        span: From the beginning of the first training to the end of the last.
        busy: Of it, in training steps.
        mib: Peak memory of the process that trained.
    """

    span: float
    busy: float
    mib: float

    @classmethod
    def of(cls, reports: list[dict[str, float]]) -> Self:
        """From the last reports of the trainings."""
        return cls(
            span=max(r["ended"] for r in reports) - min(r["began"] for r in reports),
            busy=sum(r["busy"] for r in reports),
            mib=max(r["mib"] for r in reports),
        )


@dataclass(frozen=True, slots=True)
class EngineRound:
    """A round through the engine, and what came before and beside the trainings.

    Attributes:
        round: The measured trainings.
        first_start: Seconds until a training begins when Ray has to be started.
        next_start: The same when Ray runs already.
        all_mib: Memory that Ray's processes, the worker and this one have for themselves.
    """

    round: Round
    first_start: float
    next_start: float
    all_mib: float


def bare(count: int, amount: Amount) -> Round:
    """Run the trainings in a loop in a plain process."""
    arguments = [str(number) for number in (count, amount.epochs, amount.steps)]
    command = [sys.executable, "-m", "benchmarks.workload", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Round.of(json.loads(done.stdout))


def through_engine(count: int, amount: Amount) -> EngineRound:
    """Run the trainings in a fresh engine."""
    works = [Work(str(number), amount) for number in range(count)]
    with Engine(workers=1, cpus=1, gpus=0, retries=0) as engine:
        first_asked = time.time()
        first = engine.run_all([Work("first", Amount(1, 10))], workload.train)
        asked = time.time()
        reports = [dict(report) for report in engine.run_all(works, workload.train).values()]
        all_mib = _own_mib()
    return EngineRound(
        Round.of(reports),
        first_start=first["first"]["began"] - first_asked,
        next_start=min(report["began"] for report in reports) - asked,
        all_mib=all_mib,
    )


def _own_mib() -> float:
    here = psutil.Process()
    total = 0
    for process in [here, *here.children(recursive=True)]:
        try:
            total += process.memory_full_info().uss
        except psutil.NoSuchProcess:  # ended since it was listed
            continue
    return total / MIB


def main(
    *,
    trainings: Annotated[int, typer.Option(min=2)] = 12,
    seconds: float = 2.0,
    epochs: int = 5,
    rounds: int = 2,
) -> None:
    """Measure with so many trainings of about so many seconds, ``epochs`` reports each."""
    amount = Amount(epochs, max(1, workload.steps_in(seconds) // epochs))
    loops, runs = [], []
    for number in range(rounds):
        loops.append(bare(trainings, amount))
        runs.append(through_engine(trainings, amount))
        print(
            f"round {number + 1}: bare {loops[-1].span:.2f} s, engine {runs[-1].round.span:.2f} s"
        )
    overhead = median((run.round.span - run.round.busy) / (trainings - 1) for run in runs)
    loop_overhead = median((loop.span - loop.busy) / (trainings - 1) for loop in loops)
    reference, ours = median(loop.span for loop in loops), median(run.round.span for run in runs)
    slowdown = median(run.round.busy for run in runs) / median(loop.busy for loop in loops)
    busy = median(run.round.busy / run.round.span for run in runs)
    first_start, next_start = (
        median(run.first_start for run in runs),
        median(run.next_start for run in runs),
    )
    share, busy_at_20s = overhead / _TRIAL, _TRIAL / (_TRIAL + overhead)
    say(
        [
            f"{trainings} trainings of {reference / trainings:.2f} s, {epochs} reports each, "
            f"medians of {rounds} rounds",
            f"overhead per trial {1000 * overhead:.1f} ms, in the bare loop "
            f"{1000 * loop_overhead:.1f} ms",
            f"of a {_TRIAL} s trial {100 * share:.2f} %, to reach: {100 * _FLOOR:.0f} %",
            f"worker busy {100 * busy:.1f} % here, {100 * busy_at_20s:.1f} % at {_TRIAL} s trials, "
            f"to reach: {100 * _BUSY_FLOOR:.0f} %",
            f"training steps take {slowdown:.3f} times as long as in the bare loop",
            f"start-up {first_start:.1f} s with Ray, {next_start:.1f} s for each later run",
        ],
        {
            "name": "engine",
            "ratio": ours / reference,
            "seconds": ours,
            "reference_seconds": reference,
            "overhead_ms": 1000 * overhead,
            "reference_overhead_ms": 1000 * loop_overhead,
            "share_at_20s": share,
            "floor": _FLOOR,
            "busy": busy,
            "busy_at_20s": busy_at_20s,
            "busy_floor": _BUSY_FLOOR,
            "reached": share <= _FLOOR and busy_at_20s >= _BUSY_FLOOR,
            "slowdown": slowdown,
            "start_up_seconds": first_start,
            "next_start_up_seconds": next_start,
            "peak_mib": max(run.round.mib for run in runs),
            "reference_peak_mib": max(loop.mib for loop in loops),
            "all_processes_mib": max(run.all_mib for run in runs),
        },
    )


if __name__ == "__main__":
    typer.run(main)
