"""A search of 50 cheap trials that kills itself where it is told to; run by ``test_resume``.

``python -m tests.drill FOLDER [POINT NUMBER]`` goes on with the search in a folder. At the given
pass through a point it is killed like by ``kill -9``, or loses its database.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.study import Study

from branchsearch.jobs.account import JobAccount
from branchsearch.jobs.home import Home
from branchsearch.jobs.job import Job
from branchsearch.jobs.reading import read_job
from branchsearch.jobs.store import JobStore
from branchsearch.search.early_stopping import halving
from branchsearch.search.engine import Engine
from branchsearch.search.trials import End, StudyTrials
from branchsearch.space.extremes import extremes
from branchsearch.space.space import Space
from branchsearch.tree import Tree
from tests.specs import tiny
from tests.test_search_trials import problem_of

TRIALS, EPOCHS = 50, 3
SPACE = Space.of("abcd", 3)

#: Where the driver may be killed: before or after what. ``database`` is an error instead.
POINTS: Mapping[str, tuple[type, str, bool]] = {
    "asked": (Study, "ask", True),
    "launched": (JobAccount, "began", False),
    "accounted": (JobAccount, "began", True),
    "result": (StudyTrials, "report", False),
    "reported": (StudyTrials, "report", True),
    "tell": (Study, "tell", False),
    "told": (Study, "tell", True),
    "closed": (JobAccount, "ended", False),
    "database": (RDBStorage, "set_trial_user_attr", False),
    "ledger": (JobStore, "begin_attempt", False),
}

#: Points at which the database fails, and the driver ends by itself.
FAILING = ("database", "ledger")


def worth(tree: Tree) -> float:
    """What a training of a tree gives in the end."""
    return float(sum((stage + 1) * width for stage, width in enumerate(tree.widths)))


def train(tree: Tree) -> Iterator[Mapping[str, Any]]:
    for epoch in range(1, EPOCHS + 1):
        time.sleep(0.1)
        value = worth(tree) * epoch / EPOCHS
        yield {"epoch": epoch, "metrics": {"a": value}, "seconds": 0.1, "last": epoch == EPOCHS}


def job_in(home: Home) -> Job:
    """The only one; submitted when there is none."""
    jobs = home.store.newest_first()
    return jobs[0] if jobs else home.store.submit(read_job(tiny()))


def drive(folder: Path) -> End | None:
    """Go on with the search to its end."""
    home = Home(folder)
    job = job_in(home)
    with home.driving(job):
        account = JobAccount(home.store, job.id, home.folder(job), gpus=0)
        account.enter("search")
        trials = StudyTrials(
            home.study(job),
            problem_of(SPACE),
            objectives=["delta"],
            sampler=lambda seed: RandomSampler(seed=seed),
            rule=halving(first=1, factor=3),
            training=lambda candidate: candidate.tree,
            gains=lambda metrics: metrics,
            first=extremes(SPACE),
            trials=TRIALS,
            failures=3,
            seed=0,
            told=account.told,
        )
        with Engine(
            workers=2,
            cpus=1,
            gpus=0,
            retries=2,
            folder=home.folder(job) / "engine",
            account=account,
        ) as engine:
            engine.run(trials, train)
    return trials.end


def kill_at(point: str, number: int) -> None:
    """Let pass ``number`` through a point be the last."""
    owner, name, after = POINTS[point]
    passes, real = 0, getattr(owner, name)

    def mortal(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        nonlocal passes
        passes += 1
        if after:
            result = real(*args, **kwargs)
        if passes >= number:
            _end(point)
        return result if after else real(*args, **kwargs)

    setattr(owner, name, mortal)


def _end(point: str) -> None:
    if point in FAILING:
        raise StorageInternalError("the database is gone")
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        kill_at(sys.argv[2], int(sys.argv[3]))
    print(drive(Path(sys.argv[1])))
