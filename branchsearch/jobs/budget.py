"""Whether a job's budget is used up, and raising it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from branchsearch.jobs.home import Home
from branchsearch.jobs.job import Job
from branchsearch.jobs.ledger import Attempt, spent, wall_clock
from branchsearch.jobs.spec import Budget
from branchsearch.search.trials import End

#: The limits that may be raised when a job has ended.
RAISABLE = ("max_trials", "max_seconds", "max_gpu_hours", "max_cost")


class NotRaised(ValueError):
    """What was asked for raises no limit."""


def budget_of(budget: Budget, job: Job) -> Budget:
    """A job's budget as it was raised."""
    return Budget(**{**budget.model_dump(), **job.extension})


def extend(home: Home, job: Job, budget: Budget, limits: Mapping[str, float]) -> Job:
    """Raise limits of a job's budget; when it runs next, it goes on.

    The spec stays what it was, so that the same spec goes on with the job as well.

    Args:
        home: Of the job.
        job: In any state, but not running.
        budget: As it stands.
        limits: The new ones, by name.

    Raises:
        NotRaised: A limit is no higher than before, or was none; nothing has changed.
        JobIsRunning: Another process holds it.
    """
    if not limits:
        raise NotRaised(f"name a limit to raise: {', '.join(RAISABLE)}")
    for name, limit in limits.items():
        before = getattr(budget, name)
        if before is None:
            raise NotRaised(f"job {job.id} has no {name} that could be raised")
        if limit <= before:
            raise NotRaised(f"{name} is {before:g} and can only be raised, not set to {limit:g}")
    with home.driving(job):
        return home.store.extend(job.id, limits)


def used_up(budget: Budget, attempts: Sequence[Attempt]) -> tuple[End, str] | None:
    """Which limit of a budget forbids another trial to begin, beside that of their number.

    Of a trial that trains it is taken that it will need as long as those so far did on average:
    trials that run side by side would else go over a limit all together.

    Args:
        budget: With the limits.
        attempts: All of the job's.

    Returns:
        The end of the search and the limit in words, or None.
    """
    searching = [attempt for attempt in attempts if attempt.step == "search"]
    seconds = wall_clock(searching)
    if budget.max_seconds is not None and seconds >= budget.max_seconds:
        return End.DEADLINE, f"budget.max_seconds: {seconds:.0f} of {budget.max_seconds:g}"
    whole = [attempt.seconds for attempt in searching if attempt.how == "ended"]
    usual = fmean(whole) if whole else 0.0
    expected = [
        attempt if attempt.how else replace(attempt, seconds=max(attempt.seconds, usual))
        for attempt in attempts
    ]
    total = spent(expected, budget.cost_per_hour)
    hours = total.gpu_seconds / 3600
    if budget.max_gpu_hours is not None and hours >= budget.max_gpu_hours:
        return (
            End.BUDGET_EXHAUSTED,
            f"budget.max_gpu_hours: {hours:.3g} of {budget.max_gpu_hours:g}",
        )
    if budget.max_cost is not None and total.cost is not None and total.cost >= budget.max_cost:
        return End.BUDGET_EXHAUSTED, f"budget.max_cost: {total.cost:.4g} of {budget.max_cost:g}"
    return None
