"""The commands that measure affinity and explain trees, as a shell sees them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from branchsearch.jobs.home import Home
from branchsearch.jobs.pipeline import Result
from tests.end_to_end.test_cli import answer, program, written
from tests.specs import tiny

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def features(path: Path, **changes: Any) -> Path:  # noqa: ANN401
    """Two stages of three tasks, of which the first two are nearly the same."""
    draw = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for stage in range(2):
        common = draw.normal(size=(30, 40))
        arrays[f"{stage}/a"] = common
        arrays[f"{stage}/b"] = common + draw.normal(size=(30, 40)) / 10
        arrays[f"{stage}/c"] = draw.normal(size=(30, 20))
    np.savez(path, **{**arrays, **changes})
    return path


def test_given_features_are_measured_drawn_and_listed(tmp_path: Path):
    source, to = features(tmp_path / "f.npz"), tmp_path / "out"
    told = answer("affinity", source, "--measure", "rsa", "--measure", "cka", "--to", to)
    assert told["folder"] == str(to)
    files = {"affinity.npz", "affinity-cka.npz", "affinity.html", "affinity.csv"}
    assert {path.name for path in to.iterdir()} == files
    with np.load(to / "affinity.npz") as kept:
        assert kept["measure"] == "rsa"
        assert kept["tasks"].tolist() == ["a", "b", "c"]
        assert kept["affinity"][0, 0, 1] > 0.9
        assert (kept["low"] <= kept["affinity"]).all()
        assert kept["chance"][0, 0, 1] < 0.05 < kept["chance"][0, 0, 2]
    rows = list(csv.DictReader((to / "affinity.csv").open()))
    assert len(rows) == len(told["affinities"]) == 2 * 2 * 3
    assert [float(row["affinity"]) for row in rows] == [
        row["affinity"] for row in told["affinities"]
    ]


def test_measures_may_stand_in_a_row_and_the_same_seed_gives_the_same(tmp_path: Path):
    source = features(tmp_path / "f.npz")
    first = answer("affinity", source, "--measure", "rsa", "cka", "--to", tmp_path / "1")
    again = answer("affinity", source, "--measure", "rsa", "cka", "--to", tmp_path / "2")
    assert first["affinities"] == again["affinities"]
    assert {row["measure"] for row in first["affinities"]} == {"rsa", "cka"}
    ran = program("affinity", source, "--draws", "0", "--to", tmp_path / "3")
    assert "a, b: 0.9" in ran.stdout
    assert "affinity.csv, affinity.html, affinity.npz" in ran.stdout


@pytest.mark.parametrize(
    ("changes", "arguments", "told"),
    [
        ({}, ["--measure", "rsb"], "no affinity 'rsb'; there are"),
        ({}, ["--measure", "tag"], "--measure tag: it reads losses"),
        ({"1/c": np.ones((30, 4))}, [], "c at stage 1"),
        ({"1/c": np.random.default_rng(1).normal(size=(29, 4))}, [], "the same probe images"),
        ({"images/a": np.arange(30), "images/b": np.arange(30)[::-1]}, [], "different probe"),
        ({"2/c": np.ones((30, 4))}, [], "lacks '2/a'"),
    ],
)
def test_bad_features_are_told_in_a_line_and_nothing_is_written(
    tmp_path: Path, changes: dict[str, Any], arguments: list[str], told: str
):
    source = features(tmp_path / "f.npz", **changes)
    ran = program("affinity", source, *arguments, "--to", tmp_path / "out")
    assert ran.returncode == 2
    assert told in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == [source]


def test_what_is_no_source_is_told(tmp_path: Path):
    for source in ("nowhere.npz", "nowhere.yaml", "scenes_quik"):
        ran = program("affinity", source, "--to", tmp_path / "out", "--home", tmp_path / "home")
        assert ran.returncode == 2
        assert source in ran.stderr
    ran = program("affinity", "job_x", "--to", tmp_path / "out", "--home", tmp_path / "home")
    assert ran.returncode == 3
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_kept(tmp_path: Path):
    ran = program("affinity", features(tmp_path / "f.npz"), "--to", tmp_path)
    assert ran.returncode == 5
    assert "name another folder" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["f.npz"]


def test_a_job_is_measured_from_what_it_has_trained(home: Path, result: Result, tmp_path: Path):
    kept = set((home / "trainings").rglob("result.json"))
    told = answer("affinity", result.job.id, "--to", tmp_path / "out", "--home", home)
    assert set((home / "trainings").rglob("result.json")) == kept
    assert {row["measure"] for row in told["affinities"]} == {"rsa"}
    folder = Home(home).folder(result.job)
    with np.load(folder / "affinity.npz") as ours, np.load(tmp_path / "out/affinity.npz") as again:
        for part in ("affinity", "low", "high", "chance"):
            np.testing.assert_array_equal(ours[part], again[part])


def test_a_job_that_never_ran_trains_what_the_measures_need(tmp_path: Path):
    space = tiny()["space"]
    spec = written(
        tmp_path / "job.yaml",
        tiny(space={**space, "tasks": space["tasks"][:2]}, trial={"epochs": 1, "batch_size": 24}),
    )
    call = ["affinity", spec, "--measure", "two_task", "tag", "gradient_cosine"]
    told = answer(*call, "--to", tmp_path / "out", "--home", tmp_path / "home")
    trained = list((tmp_path / "home/trainings").rglob("result.json"))
    # two alone, one shared, which is also the pair that shares all, and one that parts
    assert len(trained) == 4
    assert {row["measure"] for row in told["affinities"]} == {"two_task", "tag", "gradient_cosine"}


def test_a_tree_is_explained(home: Path, result: Result):
    told = answer("why", result.job.id, "--home", home)
    assert told["tree"] == str(result.tree)
    tree = "depth,normals,seg > depth,normals,seg"
    told = answer("why", result.job.id, "--tree", tree, "--home", home)
    (point,) = told["branching_points"]
    assert (point["stage"], point["branches"]) == (0, [["depth"], ["normals"], ["seg"]])
    for pair in point["pairs"]:
        (alike,) = pair["affinities"]
        assert alike["low"] <= alike["value"] <= alike["high"]
        assert alike["suits"] is None
    ran = program("why", result.job.id, "--tree", tree, "--home", home)
    assert "depth | normals | seg" in " ".join(ran.stdout.split())
    assert json.dumps(told)


def test_a_tree_that_cannot_be_explained_is_refused(home: Path, result: Result):
    ran = program("why", result.job.id, "--tree", "depth,seg > depth,seg", "--home", home)
    assert ran.returncode == 2
    assert "--tree: 'depth,seg > depth,seg' is not in the space" in ran.stderr
