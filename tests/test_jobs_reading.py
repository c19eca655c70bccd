from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from branchsearch.jobs.check import check_job
from branchsearch.jobs.reading import InvalidSpec, read_job, read_space
from branchsearch.jobs.shipped import shipped
from tests.specs import TINY, tiny


def written(path: Path, content: Any) -> Path:  # noqa: ANN401
    with path.open("w") as file:
        YAML().dump(content, file)
    return path


def faults(source: Any) -> str:  # noqa: ANN401
    with pytest.raises(InvalidSpec) as raised:
        check_job(source)
    return str(raised.value)


@pytest.mark.parametrize("name", shipped("jobs"))
def test_every_shipped_job_is_valid(name: str):
    assert check_job(name).spec.metadata.name == name


@pytest.mark.parametrize("name", shipped("search_spaces"))
def test_every_shipped_space_is_valid(name: str):
    read_space(name)


def test_a_job_is_the_same_from_a_file_a_mapping_and_itself(tmp_path: Path):
    from_file = read_job(written(tmp_path / "job.yaml", TINY))
    assert from_file == read_job(TINY) == read_job(from_file)
    assert read_job(from_file.model_dump(mode="json")) == from_file


def test_a_named_space_is_replaced_by_its_content(tmp_path: Path):
    written(tmp_path / "mine.yaml", TINY["space"])
    job = written(tmp_path / "job.yaml", tiny(space="mine.yaml"))
    assert read_job(job) == read_job(TINY)


def test_a_fault_in_a_named_space_is_told_where_it_stands(tmp_path: Path):
    space = tiny()["space"]
    space["tasks"][1]["direction"] = "up"
    written(tmp_path / "mine.yaml", space)
    told = faults(written(tmp_path / "job.yaml", tiny(space="mine.yaml")))
    line = next(
        number
        for number, text in enumerate((tmp_path / "mine.yaml").read_text().splitlines(), start=1)
        if "direction: up" in text
    )
    assert told.startswith(f"{tmp_path / 'mine.yaml'}:{line}: space.tasks.1.direction")
    assert "'maximize' or 'minimize', not 'up'" in told


def test_every_fault_is_told_at_once(tmp_path: Path):
    spec = tiny(samplr={"name": "tpe"}, budget={"max_trials": 0}, trial={"epoch": 3})
    told = faults(written(tmp_path / "job.yaml", spec)).splitlines()
    assert len(told) == 3
    assert any("samplr: unknown key; did you mean 'sampler'?" in line for line in told)
    assert any("trial.epoch: unknown key; did you mean 'epochs'?" in line for line in told)
    assert any("budget.max_trials" in line and "not 0" in line for line in told)


def in_space(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    return tiny(space={**TINY["space"], **changes})


def task(number: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    spec = tiny()
    spec["space"]["tasks"][number] |= changes
    return spec


@pytest.mark.parametrize(
    ("spec", "where", "what"),
    [
        (tiny(space="scnes"), "space", "did you mean 'scenes'"),
        (tiny(sampler={"name": "tp"}), "sampler", "did you mean 'tpe'"),
        (tiny(sampler={"name": "tpe", "args": {"n": 3}}), "sampler", "it takes n_startup_trials"),
        (
            tiny(sampler={"name": "evolution", "args": {"population": "ten"}}),
            "sampler",
            "population: Input should be a valid integer, not 'ten'",
        ),
        (
            tiny(trial={"balancing": {"name": "gradnorm", "args": {"alpha": "much"}}}),
            "trial.balancing",
            "alpha: Input should be a valid number, not 'much'",
        ),
        (
            tiny(trial={"balancing": {"name": "gradnorm", "args": {"alpha": -1.0}}}),
            "trial.balancing",
            "gradnorm needs alpha >= 0",
        ),
        (
            in_space(
                backbone={"name": "resnet", "args": {"channels": [8, 8], "strides": [1.5, 1]}}
            ),
            "space.backbone",
            "strides: Input should be a valid integer, not 1.5",
        ),
        (
            in_space(dataset={"name": "scenes", "args": {"train": float("nan"), "size": 16}}),
            "space.dataset",
            "needs probe, seed",
        ),
        (
            in_space(
                dataset={
                    "name": "scenes",
                    "args": {**TINY["space"]["dataset"]["args"], "train": float("inf")},
                }
            ),
            "space.dataset",
            "train: numbers are finite, not inf",
        ),
        (in_space(backbone={"name": "alexnet"}), "space.backbone", "no backbone 'alexnet'"),
        (in_space(backbone={"name": "resnet"}), "space.backbone", "needs channels"),
        (
            in_space(backbone={"name": "resnet", "args": {"channels": [0]}}),
            "space.backbone.args",
            "at least 1",
        ),
        (in_space(dataset={"name": "scenes"}), "space.dataset", "needs probe, seed, size"),
        (task(1, direction="maximize"), "space.tasks.1", "direction of rmse is minimize"),
        (task(1, metric="mean_iou"), "space.tasks.1", "one of ['rmse'"),
        (task(1, name="dpth"), "space.tasks.1.name", "no label 'dpth'; it has seg, depth"),
        (
            task(0, classes=5),
            "space.tasks.0.classes",
            "label 'seg' is segmentation of 4 classes, but the task says 5",
        ),
        (task(1, name="a b"), "space.tasks.1", "holds no blank"),
        (task(1, name="seg"), "space", "two tasks are named 'seg'"),
        (in_space(may_split=[True]), "space.may_split", "1 entries for a backbone of 2 stages"),
        (in_space(may_split=[False, False]), "space.may_split", "the space is empty"),
        (in_space(limits={"most": [1]}), "space.limits", "for each of 2 stages"),
        (in_space(limits={"most": [1, 1]}), "space.limits", "only one tree keeps to them"),
        (
            in_space(limits={"pairs": [{"tasks": ["seg", "sge"]}]}),
            "space.limits",
            "a pair is two of depth, normals, seg",
        ),
        (
            in_space(limits={"most": [1, 3], "pairs": [{"tasks": ["seg", "depth"], "most": 0}]}),
            "space.limits",
            "no tree of 3 tasks keeps to all limits",
        ),
        (in_space(tasks=TINY["space"]["tasks"][:1]), "space.tasks", "the space is empty"),
        (in_space(tasks=[]), "space.tasks", "at least 1 must be given"),
        (
            tiny(constraints=[{"metric": "parameters", "max": 10}]),
            "constraints.0.max",
            "no tree fits: sharing everything takes",
        ),
        (
            tiny(trees=["depth,normals,seg > depth+normals,seg"]),
            "trees.0",
            "meet again at stage 1",
        ),
        (tiny(trees=["depth+seg > depth+seg"]), "trees.0", "not in the space of 2 stages"),
        (tiny(objectives=[{"metric": "delta", "direction": "minimize"}]), "objectives.0", "is max"),
        (tiny(objectives=[]), "objectives", "at least 1 must be given"),
        (tiny(affinity={"measures": ["rsb"]}), "affinity", "did you mean 'rsa'"),
        (tiny(affinity={"measures": ["rsa", "rsa"]}), "affinity", "named twice: rsa, rsa"),
        (tiny(affinity={"measures": []}), "affinity.measures", "at least 1 must be given"),
        (
            in_space(
                dataset={"name": "scenes", "args": {**TINY["space"]["dataset"]["args"], "probe": 2}}
            ),
            "space.dataset.args",
            "rsa needs at least 3 probe images, got 2",
        ),
        (tiny(api_version="v0"), "api_version", "'branchsearch/v1', not 'v0'"),
        (tiny(trial={"learning_rate": float("nan")}), "trial.learning_rate", "finite"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_what_would_be_right(
    tmp_path: Path, spec: dict[str, Any], where: str, what: str
):
    told = faults(written(tmp_path / "job.yaml", spec))
    assert f"job.yaml:{told.split(':')[1]}: {where}" in told
    assert int(told.split(":")[1]) > 0
    assert what in told


def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path):
    (tmp_path / "job.yaml").write_text("kind: Search\nspace: [1,\n")
    assert f"{tmp_path / 'job.yaml'}:3: not YAML" in faults(tmp_path / "job.yaml")


def test_a_key_twice_is_told(tmp_path: Path):
    (tmp_path / "job.yaml").write_text("kind: Search\nkind: Search\n")
    assert "duplicate key" in faults(tmp_path / "job.yaml")


def test_a_name_that_is_not_there_is_answered_with_those_that_are():
    assert "jobs/ holds no 'scenes_quik'" in faults("scenes_quik")
    assert "did you mean 'scenes_quick'?" in faults("scenes_quik")


@pytest.mark.parametrize("content", ["", "3", "- a", "text"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, content: str):
    (tmp_path / "job.yaml").write_text(content)
    assert "job.yaml:1: the whole: keys with values belong here" in faults(tmp_path / "job.yaml")


def test_a_name_alone_stands_for_a_component_without_arguments():
    assert read_job(tiny(sampler="tree_gp")) == read_job(tiny(sampler={"name": "tree_gp"}))
