import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from branchsearch.jobs import training as training_module
from branchsearch.jobs.reading import InvalidSpec
from branchsearch.jobs.training import (
    Training,
    build_balancing,
    loader,
    open_dataset,
    train,
)
from branchsearch.jobs.trainings import Trainings
from branchsearch.train.balancing.torchjd import NeedsTorchjd
from branchsearch.train.fit import NotFinite
from branchsearch.train.judging import judge
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


def test_the_test_part_is_judged_by_as_many_images_as_a_part_of_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    at_once = []

    def noted(*given: Any, **more: Any) -> dict[str, float]:  # noqa: ANN401  # as the real one
        at_once.append(more["at_once"])
        return judge(*given, **more)

    monkeypatch.setattr(training_module, "judge", noted)
    given = training(tmp_path)
    recipe = replace(given.recipe, batch_size=8, accumulate=4)
    list(train(replace(given, test=True, recipe=recipe)))
    assert at_once == [2]


def test_a_killed_training_goes_on_from_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("branchsearch.jobs.training._CHECKPOINT_SECONDS", 0.0)
    given = Trainings(checked(trial={"epochs": 3, "batch_size": 24}), tmp_path).of_trial(TREE)
    whole = replace(given, home=tmp_path / "whole")
    expected = list(train(whole))
    killed = train(given)
    before = [next(killed), next(killed)]
    killed.close()
    assert given.kept() is None
    assert len(list(given.checkpoints.iterdir())) == 2
    told = list(train(given))
    assert told[:2] == before
    assert [report["metrics"] for report in told] == [report["metrics"] for report in expected]
    weights = zip(whole.trained().parameters(), given.trained().parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)
    assert not given.checkpoints.exists()


def test_a_training_that_is_not_finite_leaves_nothing_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("branchsearch.jobs.training._CHECKPOINT_SECONDS", 0.0)
    trial = {"epochs": 8, "optimizer": "sgd", "learning_rate": 1e18, "warm_up": 0.9}
    given = Trainings(checked(trial={**trial, "batch_size": 24}), tmp_path).of_trial(TREE)
    with pytest.raises(NotFinite, match=r"the loss of task '.*' is .* at step"):
        list(train(given))
    assert not given.checkpoints.exists()


def test_solved_tasks_are_named_and_belong_to_the_space(tmp_path: Path):
    spec = checked(trial={"epochs": 1, "batch_size": 24, "floors": {"seg": 0.5}})
    assert Trainings(spec, tmp_path).of_trial(TREE).recipe.floors == {"seg": 0.5}
    alone = Trainings(spec, tmp_path).of_trial(Tree.share_all(["depth"], 2))
    assert alone.recipe.floors == {}
    with pytest.raises(InvalidSpec, match="floors of sky, which are no tasks of the space"):
        checked(trial={"floors": {"sky": 0.5}})


def test_a_balancing_is_named_with_or_without_arguments(tmp_path: Path):
    def balancing(given: Any) -> tuple[str, Any]:  # noqa: ANN401  # any YAML value
        return Trainings(checked(trial={"balancing": given}), tmp_path).of_trial(TREE).balancing

    assert balancing("rlw") == ("rlw", {})
    assert balancing({"name": "dwa", "args": {"temperature": 3.0}}) == ("dwa", {"temperature": 3.0})
    with pytest.raises(InvalidSpec, match="'dwa' takes no 'heat'; it takes temperature"):
        balancing({"name": "dwa", "args": {"heat": 3.0}})


def test_a_balancing_of_an_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(NeedsTorchjd, match=r"pip install 'branchsearch\[torchjd\]'"):
        build_balancing(("upgrad", {}), {"a": 1.0})


@pytest.mark.parametrize("how", ["copy", "mean"])
def test_a_tree_inherits_from_the_baselines_of_the_trials(tmp_path: Path, how: str):
    spec = checked(trial={"epochs": 1, "batch_size": 24, "inherit": how})
    trainings = Trainings(spec, tmp_path)
    alone = {task: trainings.of_trial(trainings.alone(task)) for task in TREE.tasks}
    given = trainings.of_trial(TREE)
    assert all(one.inherit is None for one in alone.values())
    assert given.key != training(tmp_path).key
    with pytest.raises(FileNotFoundError):
        given.start()
    for one in alone.values():
        list(train(one))
    ours, theirs = given.start().state_dict(), alone["depth"].trained().state_dict()
    # depth, the first task, has a branch of its own at the second stage
    own = [name for name in theirs if name.startswith("stages.1.")]
    assert all(torch.equal(ours[name], theirs[name]) for name in own)
    root = [name for name in theirs if name.startswith("stages.0.") and "conv" in name]
    assert all(torch.equal(ours[name], theirs[name]) for name in root) == (how == "copy")
    assert list(train(given))[-1]["last"]
    assert trainings.of_confirmation(TREE, seed=3).inherit == given.inherit


def test_training_images_are_changed_by_chance_and_the_same_again(tmp_path: Path):
    changes = {"flip": 0.5, "zoom": 1.5, "colour": 0.2}
    trial = {"epochs": 1, "batch_size": 24, "augmentation": changes}
    given = Trainings(checked(trial=trial), tmp_path).of_trial(TREE)
    plain = Trainings(checked(trial={**trial, "augmentation": {}}), tmp_path).of_trial(TREE)
    assert given.key != plain.key
    with_workers = replace(given, home=tmp_path / "elsewhere", threads=2)
    ours, twin, theirs = (list(train(one))[-1] for one in (given, with_workers, plain))
    assert ours["losses"] == pytest.approx(twin["losses"], rel=1e-4)  # two threads round otherwise
    assert ours["losses"] != pytest.approx(theirs["losses"], rel=1e-2)


def test_images_that_have_no_mirror_are_not_mirrored(tmp_path: Path):
    trial = {"epochs": 1, "augmentation": {"flip": 0.5}}
    given = Trainings(checked(trial=trial), tmp_path).of_trial(TREE)
    dataset = replace(open_dataset(given.dataset, tmp_path), mirrors=False)
    with pytest.raises(ValueError, match=r"augmentation.flip must be 0"):
        loader(dataset, given, torch.device("cpu"))
