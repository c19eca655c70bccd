"""What a job's trainings have taken, attempt by attempt: seconds, GPU-seconds, money.

Every attempt counts, lost and retried ones as well: a process was held for it. So the trials add up
to the search, and the steps to the job.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

#: What becomes of an attempt whose driver was killed.
LOST = "lost"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a training.

    Attributes:
        step: Of the job.
        key: Of the training; in the search the trial's number.
        began: When a process began with it, UTC.
        seconds: For how long the process was held; of one whose driver was killed, as far as that
            was written down, which happens every few seconds.
        gpus: How many it held.
        how: ``ended``, a ``Failure`` or ``lost``; None while it goes on.
    """

    step: str
    key: str
    began: datetime
    seconds: float
    gpus: float
    how: str | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What attempts took together.

    Attributes:
        attempts: How many.
        seconds: Of a process, added up.
        gpu_seconds: The same, times the GPUs that each held.
        cost: In the currency of ``budget.cost_per_hour``; None without that.
    """

    attempts: int
    seconds: float
    gpu_seconds: float
    cost: float | None


def spent(attempts: Iterable[Attempt], cost_per_hour: float | None) -> Spent:
    """Add attempts up."""
    attempts = list(attempts)
    seconds = sum(attempt.seconds for attempt in attempts)
    return Spent(
        attempts=len(attempts),
        seconds=seconds,
        gpu_seconds=sum(attempt.seconds * attempt.gpus for attempt in attempts),
        cost=None if cost_per_hour is None else cost_per_hour * seconds / 3600,
    )


def wall_clock(attempts: Iterable[Attempt]) -> float:
    """Seconds in which at least one of the attempts went on."""
    total, until = timedelta(), None
    for attempt in sorted(attempts, key=lambda attempt: attempt.began):
        ends = attempt.began + timedelta(seconds=attempt.seconds)
        starts = attempt.began if until is None else max(attempt.began, until)
        total += max(ends - starts, timedelta())
        until = ends if until is None else max(until, ends)
    return total.total_seconds()
