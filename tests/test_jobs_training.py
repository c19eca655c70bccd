from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from branchsearch.jobs.training import Training, train
from branchsearch.jobs.trainings import Trainings
from branchsearch.tree import Tree
from tests.specs import checked

TREE = Tree.parse("depth+normals+seg > depth,normals+seg")


def training(home: Path) -> Training:
    return Trainings(checked(), home).of_trial(TREE)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 7},
        {"test": True},
        {"balancing": ("fixed", {})},
        {"device": "cuda"},
        {"code": "0.0.9+abc"},
        {"tree": Tree.share_all(TREE.tasks, 2)},
        {"backbone": ("resnet", {"channels": [4, 8]})},
        {"dataset": ("scenes", {"size": 32})},
    ],
)
def test_whatever_decides_the_result_is_in_the_key(tmp_path: Path, other: dict[str, Any]):
    given = training(tmp_path)
    assert replace(given, **other).key != given.key
    assert replace(given, recipe=replace(given.recipe, learning_rate=0.5)).key != given.key


def test_where_it_is_kept_and_how_fast_it_runs_are_not_in_the_key(tmp_path: Path):
    given = training(tmp_path)
    assert replace(given, home=tmp_path / "other", threads=8).key == given.key


def test_a_training_is_kept_and_not_done_again(tmp_path: Path):
    given = training(tmp_path)
    assert given.kept() is None
    with pytest.raises(FileNotFoundError, match="no finished training"):
        given.result()
    first = list(train(given))
    assert [report["epoch"] for report in first] == [1, 2]
    assert [report["last"] for report in first] == [False, True]
    again = list(train(given))
    assert all(report["again"] for report in again)
    assert [{**report, "again": False} for report in again] == first
    assert given.result()["metrics"] == first[-1]["metrics"]


def test_the_same_training_elsewhere_gives_the_same_bits(tmp_path: Path):
    ours, theirs = training(tmp_path / "ours"), training(tmp_path / "theirs")
    metrics = [list(train(one))[-1]["metrics"] for one in (ours, theirs)]
    assert metrics[0] == metrics[1]
    weights = zip(ours.trained().parameters(), theirs.trained().parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)


def test_a_training_that_is_dropped_keeps_nothing(tmp_path: Path):
    given = training(tmp_path)
    reports = train(given)
    next(reports)
    reports.close()
    assert given.kept() is None
    assert not given.folder.exists()


def test_the_test_part_is_read_when_it_is_asked_for(tmp_path: Path):
    alone = Trainings(checked(), tmp_path)
    *_, last = train(alone.of_confirmation(alone.alone("depth"), seed=1))
    assert last["test"].keys() == {"depth"}
    assert last["test"] != last["metrics"]
