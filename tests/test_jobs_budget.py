from collections.abc import Sequence
from pathlib import Path

import pytest

from branchsearch.jobs.budget import NotRaised, budget_of, extend, used_up
from branchsearch.jobs.home import Home
from branchsearch.jobs.job import JobIsRunning, JobState
from branchsearch.jobs.ledger import Attempt
from branchsearch.jobs.reading import InvalidSpec, read_job
from branchsearch.jobs.spec import Budget
from branchsearch.search.trials import End
from tests.specs import tiny
from tests.test_jobs_ledger import attempt

HOUR = 3600


def end(budget: Budget, attempts: Sequence[Attempt]) -> End | None:
    met = used_up(budget, attempts)
    return met and met[0]


def test_no_limit_is_never_used_up():
    assert used_up(Budget(), [attempt(0, 10**9, gpus=8)] * 99) is None


def test_wall_clock_is_the_searchs_own():
    budget = Budget(max_seconds=100)
    long = Attempt("baselines", "a", attempt().began, 10**6, 0, "ended")
    assert end(budget, [long, attempt(0, 60), attempt(30, 69)]) is None
    assert end(budget, [long, attempt(0, 60), attempt(30, 70)]) is End.DEADLINE


def test_gpu_hours_and_cost_are_of_all_steps_and_attempts():
    attempts = [
        Attempt("baselines", "a", attempt().began, HOUR, 2, "ended"),
        attempt(0, HOUR, gpus=2, how="killed"),
        attempt(0, HOUR, gpus=2, how="lost"),
    ]
    assert end(Budget(max_gpu_hours=6), attempts) is End.BUDGET_EXHAUSTED
    assert end(Budget(max_gpu_hours=6.1), attempts) is None
    assert end(Budget(cost_per_hour=2, max_cost=6), attempts) is End.BUDGET_EXHAUSTED
    assert end(Budget(cost_per_hour=2, max_cost=6.1), attempts) is None


def test_trials_that_train_are_taken_to_need_as_much_as_others_did():
    budget = Budget(cost_per_hour=1, max_cost=3)
    whole, begun = attempt(0, HOUR), attempt(HOUR, 1, how=None)
    assert end(budget, [whole, begun]) is None
    assert end(budget, [whole, begun, begun]) is End.BUDGET_EXHAUSTED
    assert end(budget, [begun] * 9) is None  # nothing is known yet


@pytest.mark.parametrize("cost", [0.9, 1.0, 7.3])
@pytest.mark.parametrize("workers", [1, 3, 8])
def test_a_budget_is_never_passed_by_more_than_one_trial(workers: int, cost: float):
    """Trials of equal length, side by side, each begun as soon as it may."""
    budget, length = Budget(cost_per_hour=1, max_cost=10), cost * HOUR
    done: list[Attempt] = [attempt(0, length)]
    while used_up(budget, done) is None:
        running: list[Attempt] = []
        while len(running) < workers and used_up(budget, done + running) is None:
            running.append(attempt(0, 0, how=None))
        done += [attempt(0, length)] * len(running)
    assert 10 <= len(done) * cost < 10 + cost


def test_a_cost_needs_a_price_and_gpu_hours_a_gpu():
    with pytest.raises(InvalidSpec, match="max_cost needs cost_per_hour"):
        read_job(tiny(budget={"max_cost": 3}))
    with pytest.raises(InvalidSpec, match=r"max_gpu_hours needs resources.num_gpus"):
        read_job(tiny(budget={"max_gpu_hours": 3}))


def test_extending_raises_the_budget_and_queues_what_has_ended(tmp_path: Path):
    home, spec = Home(tmp_path), read_job(tiny())
    job = home.store.submit(spec)
    home.store.move(job.id, JobState.RUNNING)
    home.store.move(job.id, JobState.SUCCEEDED, reason="BUDGET_EXHAUSTED", message="enough")
    extended = extend(home, job, spec.budget, {"max_trials": 9})
    assert (extended.state, extended.reason, extended.message) == (JobState.QUEUED, None, None)
    assert budget_of(spec.budget, extended) == Budget(max_trials=9)
    assert extended == home.store.get(job.id) == home.store.newest(spec)
    assert extended.spec == job.spec
    again = extend(home, extended, budget_of(spec.budget, extended), {"max_trials": 10})
    assert (again.state, again.extension) == (JobState.QUEUED, {"max_trials": 10})
    assert [e.data for e in home.store.events(job.id) if e.kind == "extended"] == [
        {"max_trials": 9},
        {"max_trials": 10},
    ]


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"max_trials": 5}, "max_trials is 5 and can only be raised, not set to 5"),
        ({"max_trials": 4}, "only be raised"),
        ({"max_trials": 6, "max_seconds": 60}, "has no max_seconds"),
        ({}, "name a limit to raise: max_trials, max_seconds, max_gpu_hours, max_cost"),
    ],
)
def test_only_raising_is_allowed(tmp_path: Path, limits: dict[str, float], why: str):
    home, spec = Home(tmp_path), read_job(tiny())
    job = home.store.submit(spec)
    with pytest.raises(NotRaised, match=why):
        extend(home, job, spec.budget, limits)
    assert home.store.get(job.id) == job


def test_a_running_job_is_not_extended(tmp_path: Path):
    home, spec = Home(tmp_path), read_job(tiny())
    job = home.store.submit(spec)
    with home.driving(job), pytest.raises(JobIsRunning):
        extend(home, job, spec.budget, {"max_trials": 9})
    assert home.store.get(job.id) == job
