"""A job whose processes are killed at any moment: continued by the same command, and whole."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from optuna.trial import TrialState
from ruamel.yaml import YAML

from branchsearch.jobs.check import check_job
from branchsearch.jobs.gather import Seen
from branchsearch.jobs.home import Home
from branchsearch.jobs.job import JobState
from branchsearch.jobs.pipeline import result, seen
from tests.specs import tiny

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]

#: Another moment in every run of the suite; named when a test fails, so that it can be repeated.
SEED = int(os.environ.get("BRANCHSEARCH_TEST_SEED", random.randrange(2**32)))


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    with path.open("w") as file:
        YAML().dump(tiny(), file)
    return path


def start(spec: Path, home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "branchsearch", "run", str(spec), "--home", str(home)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # its children can be found, and ended whatever happens
    )


def finish(spec: Path, home: Path) -> Seen:
    process = start(spec, home)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    opened = Home(home)
    (job,) = opened.store.newest_first()
    return seen(opened, job)


def check_whole(found: Seen) -> None:
    """What must hold however often the job was killed."""
    assert found.job.state is JobState.SUCCEEDED, SEED
    trials = found.study.trials
    counted = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(counted) == 5, SEED
    assert {t.state for t in trials} <= {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    trees = Counter(t.user_attrs["tree"] for t in counted)
    assert set(trees.values()) == {1}, SEED
    assert {str(tree) for tree in check_job(tiny()).space.space.extremes()} <= trees.keys()
    given = result(found)
    assert given.report.is_file()
    assert (given.export / "proof.json").is_file()
    left = [path for path in found.folder.iterdir() if path.name.startswith(".")]
    assert left == [], SEED


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes in which Ray trains."""
    workers = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it, or a zombie, has ended since
            if "ray::" in " ".join(child.cmdline()):
                workers.append(child)
    return workers


@pytest.mark.timeout(600)
def test_a_driver_killed_at_random_moments_is_continued(spec: Path, tmp_path: Path):
    home, draw = tmp_path / "home", random.Random(SEED)
    for _ in range(3):
        process = start(spec, home)
        try:
            process.wait(timeout=draw.uniform(4, 20))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    check_whole(finish(spec, home))


@pytest.mark.timeout(300)
def test_trials_of_a_killed_worker_are_run_again(spec: Path, tmp_path: Path):
    home = tmp_path / "home"
    process = start(spec, home)
    killed, ends = 0, time.monotonic() + 200
    while process.poll() is None and killed < 2 and time.monotonic() < ends:
        time.sleep(0.2)
        if not (home / "branchsearch.db").is_file():
            continue
        jobs = Home(home).store.newest_first()
        if jobs and jobs[0].step == "search" and (workers := workers_of(process)):
            workers[0].kill()
            killed += 1
            time.sleep(3)
    process.communicate(timeout=200)
    assert process.returncode == 0
    assert killed
    check_whole(finish(spec, home))


@pytest.mark.timeout(300)
def test_an_interrupted_job_says_that_it_goes_on(spec: Path, tmp_path: Path):
    home = tmp_path / "home"
    process = start(spec, home)
    store = None
    while store is None or not (store.newest_first() and store.newest_first()[0].step == "search"):
        assert process.poll() is None
        time.sleep(0.2)
        if (home / "branchsearch.db").is_file():
            store = Home(home).store
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues it" in said
    check_whole(finish(spec, home))
