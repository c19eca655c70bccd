import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from branchsearch.jobs.account import JobAccount
from branchsearch.jobs.ledger import spent
from branchsearch.jobs.log import job_log, read, trial_log
from branchsearch.jobs.reading import read_job
from branchsearch.jobs.store import JobStore
from tests.specs import TINY


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")


@pytest.fixture
def job_id(store: JobStore) -> str:
    return store.submit(read_job(TINY)).id


def events(path: Path) -> list[str]:
    return [event["event"] for event in read(path)]


def test_every_attempt_is_a_line_of_the_ledger(store: JobStore, job_id: str, tmp_path: Path):
    account = JobAccount(store, job_id, tmp_path, gpus=0.5)
    account.enter("baselines")
    account.began("depth")
    account.ended("depth", "ended")
    account.enter("search")
    for how in ("killed", "ended"):
        account.began("7")
        time.sleep(0.01)
        account.ended("7", how)
    kept = store.attempts(job_id)
    assert [(a.step, a.key, a.gpus, a.how) for a in kept] == [
        ("baselines", "depth", 0.5, "ended"),
        ("search", "7", 0.5, "killed"),
        ("search", "7", 0.5, "ended"),
    ]
    assert kept == account.attempts()
    assert spent(kept, None).gpu_seconds >= 0.01
    assert store.attempts(store.submit(read_job(TINY)).id) == []


def test_an_attempt_whose_driver_is_killed_is_kept_as_far_as_it_was_alive(
    store: JobStore, job_id: str, tmp_path: Path
):
    account = JobAccount(store, job_id, tmp_path, gpus=0)
    account.enter("search")
    account.began("0")
    time.sleep(0.05)
    account.alive()
    (going_on,) = store.attempts(job_id)
    assert going_on.how is None
    assert going_on.seconds >= 0.05
    time.sleep(0.05)
    (as_it_is,) = account.attempts()
    assert as_it_is.seconds >= going_on.seconds + 0.05
    again = JobAccount(store, job_id, tmp_path, gpus=0)  # the next driver's
    (lost,) = again.attempts()
    assert (lost.how, lost.seconds) == ("lost", going_on.seconds)


def test_a_trial_has_a_log_of_its_own(store: JobStore, job_id: str, tmp_path: Path):
    account = JobAccount(store, job_id, tmp_path, gpus=0)
    account.enter("baselines")
    account.began("depth")
    account.reported("depth", {"epoch": 1, "metrics": {"depth": 0.5}})
    account.ended("depth", "ended")
    account.enter("search")
    account.began("3")
    account.reported("3", {"epoch": 1, "metrics": {"depth": 0.5}})
    account.ended("3", "killed", reason="its process died")
    account.began("3")
    account.ended("3", "failed", reason="ValueError: of itself", trace="Traceback ...")
    frozen = optuna.create_trial(
        state=TrialState.FAIL, user_attrs={"outcome": "failed", "reason": "ValueError: of itself"}
    )
    frozen.number = 3
    account.told(frozen)
    of_job, of_trial = read(job_log(tmp_path)), read(trial_log(tmp_path, 3))
    began = ["step", "began", "epoch", "ended"]
    rest = ["step", "began", "ended", "began", "ended", "outcome"]
    assert [event["event"] for event in of_job] == began + rest
    assert [event["event"] for event in of_trial] == [
        "began",
        "epoch",
        "ended",
        "began",
        "ended",
        "outcome",
    ]
    assert [event["attempt"] for event in of_trial if event["event"] == "began"] == [1, 2]
    assert of_trial[4]["trace"] == "Traceback ..."
    assert of_trial[5]["outcome"] == "failed"
    assert of_trial[1]["metrics"] == {"depth": 0.5}
