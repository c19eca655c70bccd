"""A search of 50 trials whose driver, workers and database are killed at random moments.

Five kills by default; ``BRANCHSEARCH_TEST_KILLS=20`` for as many as one has the patience for, and
``BRANCHSEARCH_TEST_SEED`` to have the same ones again.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from optuna.trial import TrialState

from branchsearch.jobs.home import Home
from branchsearch.jobs.ledger import spent
from branchsearch.jobs.log import read, trial_log
from branchsearch.search.outcome import outcome_of
from branchsearch.tree import Tree
from tests.drill import FAILING, POINTS, TRIALS, job_in, worth

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]

KILLS = int(os.environ.get("BRANCHSEARCH_TEST_KILLS", "5"))
SEED = int(os.environ.get("BRANCHSEARCH_TEST_SEED", random.randrange(2**32)))

#: In the environment of every process that a drill starts, and of those that they start.
MARK = "BRANCHSEARCH_TEST_DRILL"

#: How long Ray's processes may outlive a driver that was killed, seconds.
LINGER = 120


class Drilled:
    """A search in a folder, run again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mark = folder, uuid4().hex
        self.home = Home(folder / "home")

    def start(self, *point: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.drill", str(self.home.root), *point]
        said = self.said.open("wb")  # not a pipe: Ray's processes inherit that
        environment = {**os.environ, MARK: self.mark, "PYTHONWARNINGS": "ignore"}
        return subprocess.Popen(command, stdout=said, stderr=said, env=environment)

    @property
    def said(self) -> Path:
        return self.folder / "said.txt"

    def processes(self) -> list[psutil.Process]:
        """Those that have come from it and are alive."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                alive = process.status() != psutil.STATUS_ZOMBIE
                if alive and process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found

    def kill_a_worker(self, draw: random.Random) -> bool:
        workers = [p for p in self.processes() if p.name().startswith("ray::ImplicitFunc")]
        if workers:
            draw.choice(workers).kill()
        return bool(workers)


def kill(drilled: Drilled, kind: str, draw: random.Random) -> None:
    """One life of the driver that ends before its search does."""
    # so early that all kills together leave trials to do, however fast the machine
    most = max(2, 40 // KILLS)
    process = (
        drilled.start(kind, str(draw.randint(1, most)))
        if kind in POINTS
        else drilled.start("told", str(most + 2))  # two may be told as lost before it begins
    )
    try:
        if kind == "moment":  # any: also while Ray starts
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=draw.uniform(2, 12))
            process.kill()
        elif kind == "worker":
            ends = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < ends:
                if drilled.kill_a_worker(draw):
                    break
                time.sleep(0.02)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=draw.uniform(0, 3))
            process.kill()
        else:
            code = process.wait(timeout=300)
            assert (code == 1) if kind in FAILING else (code == -9), (
                SEED,
                kind,
                drilled.said.read_text(),
            )
    finally:
        process.kill()
        process.wait()


def check_whole(drilled: Drilled, kills: int) -> None:
    """Exactly the trials that were asked for, each told once; whatever was killed."""
    home = drilled.home
    job = job_in(home)
    trials = home.study(job).trials
    counted = [trial for trial in trials if outcome_of(trial).counts]
    assert len(counted) == TRIALS, SEED
    assert not [t for t in trials if t.state is TrialState.RUNNING], SEED
    assert set(Counter(t.user_attrs["tree"] for t in counted).values()) == {1}, SEED
    for trial in counted:
        if trial.state is TrialState.COMPLETE:
            assert trial.value == worth(Tree.parse(trial.user_attrs["tree"]))
    untold = 0
    for trial in counted:
        events = [event["event"] for event in read(trial_log(home.folder(job), trial.number))]
        assert events.count("outcome") <= 1, (SEED, trial.number)
        untold += "outcome" not in events  # killed after the study was told, before the log was
    assert untold <= kills
    attempts = home.store.attempts(job.id)
    assert all(attempt.how for attempt in attempts), SEED
    by_trial = [spent([a for a in attempts if a.key == str(trial.number)], 1.0) for trial in trials]
    assert sum(taken.attempts for taken in by_trial) == len(attempts), SEED
    assert sum(taken.cost or 0 for taken in by_trial) == pytest.approx(spent(attempts, 1.0).cost)


@pytest.mark.timeout(600 + 60 * KILLS)
def test_killed_at_random_moments_a_search_has_exactly_its_trials(tmp_path: Path):
    drilled, draw = Drilled(tmp_path), random.Random(SEED)
    kinds = [*POINTS, "moment", "worker"]
    plan = [kind for _ in range(-(-KILLS // len(kinds))) for kind in draw.sample(kinds, len(kinds))]
    for kind in plan[:KILLS]:
        kill(drilled, kind, draw)
    with drilled.start() as process:
        assert process.wait(timeout=500) == 0, (SEED, drilled.said.read_text())
    check_whole(drilled, KILLS)
    ends = time.monotonic() + LINGER
    while drilled.processes() and time.monotonic() < ends:
        time.sleep(1)
    assert drilled.processes() == [], SEED
