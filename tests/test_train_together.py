import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from branchsearch.jobs.training import train
from branchsearch.jobs.trainings import Trainings
from branchsearch.train.fit import NotFinite
from branchsearch.train.processes import Processes
from branchsearch.train.together import train_together
from branchsearch.tree import Tree
from tests.specs import checked


@dataclass(frozen=True)
class Given:
    folder: Path
    what: str = ""
    device: str = "cpu"


def share(given: Given, device: torch.device, processes: Processes) -> Iterator[dict[str, Any]]:
    (given.folder / str(processes.rank)).write_text(str(os.getpid()))
    for number in range(3):
        total = processes.sum(torch.tensor([processes.rank + number]))
        yield {"number": number, "total": int(total), "device": str(device)}
        if given.what == "not finite":
            raise NotFinite("the loss of task 'a' is nan at step 3")
        if given.what == "error" and processes.rank == 1:
            raise ValueError("something of the second process")
        if given.what == "killed" and processes.rank == 1:
            os.kill(os.getpid(), 9)
        if given.what == "slow":
            time.sleep(60)


def pids(folder: Path) -> list[int]:
    return [int((folder / str(rank)).read_text()) for rank in (0, 1)]


def test_the_first_process_is_heard_and_all_work(tmp_path: Path):
    told = list(train_together(2, share, Given(tmp_path)))
    assert [report["total"] for report in told] == [1, 3, 5]
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path))


@pytest.mark.parametrize(
    ("what", "error", "match"),
    [
        ("not finite", NotFinite, "task 'a' is nan at step 3"),
        ("error", Exception, "something of the second process"),
        ("killed", Exception, "SIGKILL"),
    ],
)
def test_what_ends_one_ends_all_and_is_told(
    tmp_path: Path, what: str, error: type[Exception], match: str
):
    with pytest.raises(error, match=match):
        list(train_together(2, share, Given(tmp_path, what)))
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path))


def test_dropping_the_iterator_ends_the_processes(tmp_path: Path):
    told = train_together(2, share, Given(tmp_path, "slow"))
    assert next(told)["number"] == 0
    told.close()  # type: ignore[attr-defined]
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path))


def test_a_training_of_a_job_may_be_done_by_several(tmp_path: Path):
    tree = Tree.parse("depth+normals+seg > depth,normals+seg")
    alone = Trainings(checked(trial={"epochs": 1, "batch_size": 24}), tmp_path).of_trial(tree)
    both = replace(alone, processes=2, test=True)
    (report,) = train(both)
    assert report["last"]
    assert report["test"].keys() == set(tree.tasks)
    assert both.key != alone.key
    assert both.result()["metrics"] == report["metrics"]
    assert [one["again"] for one in train(both)] == [True]
    assert not both.checkpoints.exists()
