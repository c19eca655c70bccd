"""What a job asks for and this machine has not."""

import re
from pathlib import Path

import pytest
import torch

from branchsearch.jobs.check import check_job
from branchsearch.jobs.home import Home
from branchsearch.jobs.job import JobState
from branchsearch.jobs.machine import RAY_ADDRESS, shortage
from branchsearch.jobs.pipeline import run_job
from branchsearch.jobs.progress import Silent
from branchsearch.jobs.reading import InvalidSpec, read_job
from branchsearch.search.engine import TooFewResources
from tests.specs import tiny

GREEDY = tiny(resources={"num_gpus": 64, "max_concurrent_trials": 1})


@pytest.mark.parametrize("gpus", [1, 0.5])
def test_gpus_that_are_not_there_are_named_with_their_place(
    monkeypatch: pytest.MonkeyPatch, gpus: float
):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    job = tiny(resources={"num_gpus": gpus})
    lacking = shortage(job, read_job(job))
    assert lacking is not None
    assert re.match(r"resources.num_gpus: a training asks for .*, and torch sees 0 GPUs", lacking)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert shortage(job, read_job(job)) is None


def test_a_job_without_gpus_runs_anywhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert shortage(tiny(), read_job(tiny())) is None


def test_nobody_knows_what_a_cluster_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(RAY_ADDRESS, "10.0.0.1:6379")
    assert shortage(GREEDY, read_job(GREEDY)) is None


def test_a_job_that_cannot_run_here_is_not_made(tmp_path: Path):
    with pytest.raises(InvalidSpec, match=r"resources\.num_gpus: a training asks for 64 GPUs"):
        run_job(GREEDY, Home(tmp_path / "home"), progress=Silent())
    assert not (tmp_path / "home").exists()


def test_a_job_that_was_interrupted_elsewhere_stays_what_it_is(tmp_path: Path):
    home = Home(tmp_path)
    job = home.store.submit(check_job(GREEDY).spec)
    with pytest.raises(InvalidSpec):
        run_job(GREEDY, home, progress=Silent())
    assert home.store.get(job.id).state is JobState.QUEUED


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_gpus_that_ray_does_not_find_are_a_fault_of_the_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 64)
    home = Home(tmp_path)
    with pytest.raises(TooFewResources):
        run_job(GREEDY, home, progress=Silent())
    (job,) = home.store.newest_first()
    assert (job.state, job.reason) == (JobState.FAILED, "INVALID_SPEC")
    assert job.message is not None
    assert job.message.startswith("resources.num_gpus: a training asks for 64 GPUs")
