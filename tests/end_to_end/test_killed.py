"""A job whose processes are killed at any moment: continued by the same command, and whole."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
from branchsearch.space.extremes import extremes
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


@contextmanager
def running(spec: Path, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program, from its start; what it says is in ``said.txt`` beside the spec.

    Not in a pipe: Ray's processes inherit that, and outlive a killed driver by a minute.
    """
    command = [sys.executable, "-m", "branchsearch", "run", str(spec), "--home", str(home)]
    with (
        (spec.parent / "said.txt").open("wb") as said,
        subprocess.Popen(command, stdout=said, stderr=said) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def finish(spec: Path, home: Path) -> Seen:
    with running(spec, home) as process:
        code = process.wait(timeout=500)
    assert code == 0, (spec.parent / "said.txt").read_text()
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
    assert {str(tree) for tree in extremes(check_job(tiny()).space.space)} <= trees.keys()
    given = result(found)
    assert given.report.is_file()
    assert (given.export / "proof.json").is_file()
    left = [path for path in found.folder.iterdir() if path.name.startswith(".")]
    assert left == [], SEED


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes in which Ray trains."""
    workers = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it, or a zombie, has ended since
            if child.name().startswith("ray::ImplicitFunc"):  # Tune's name for a function's process
                workers.append(child)
    return workers


def wait_for_search(process: subprocess.Popen[bytes], home: Path) -> None:
    ends = time.monotonic() + 100
    while time.monotonic() < ends and process.poll() is None:
        time.sleep(0.2)
        if (home / "branchsearch.db").is_file():
            jobs = Home(home).store.newest_first()
            if jobs and jobs[0].step == "search":
                return
    raise AssertionError(f"it never came to the search: {process.poll()}")


@pytest.mark.timeout(900)
def test_a_driver_killed_at_random_moments_is_continued(spec: Path, tmp_path: Path):
    home, draw = tmp_path / "home", random.Random(SEED)
    for _ in range(3):
        with running(spec, home) as process, suppress(subprocess.TimeoutExpired):
            process.wait(timeout=draw.uniform(4, 16))  # then it is killed
    check_whole(finish(spec, home))


@pytest.mark.timeout(900)
def test_trials_of_a_killed_worker_are_run_again(spec: Path, tmp_path: Path):
    home, killed = tmp_path / "home", 0
    with running(spec, home) as process:
        wait_for_search(process, home)
        while process.poll() is None and killed < 2:
            if workers := workers_of(process):
                workers[0].kill()
                killed += 1
                time.sleep(3)
        assert process.wait(timeout=500) == 0, (tmp_path / "said.txt").read_text()
    assert killed
    check_whole(finish(spec, home))


@pytest.mark.timeout(900)
def test_a_job_does_not_wait_for_a_cluster_that_is_gone(spec: Path, tmp_path: Path):
    home = tmp_path / "home"
    with running(spec, home) as process:
        wait_for_search(process, home)
        for child in psutil.Process(process.pid).children(recursive=True):
            if child.name() == "raylet":
                child.kill()
        assert process.wait(timeout=120) == 1, (tmp_path / "said.txt").read_text()
    assert "the same command continues" in (tmp_path / "said.txt").read_text()
    check_whole(finish(spec, home))


@pytest.mark.timeout(900)
def test_an_interrupted_job_says_that_it_goes_on(spec: Path, tmp_path: Path):
    home = tmp_path / "home"
    with running(spec, home) as process:
        wait_for_search(process, home)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130, (tmp_path / "said.txt").read_text()
    assert "the same command continues it" in (tmp_path / "said.txt").read_text()
    check_whole(finish(spec, home))
