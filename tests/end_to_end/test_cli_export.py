"""Handing out, checking and comparing networks, as a shell sees it, of the job that has run."""

import json
from pathlib import Path
from typing import Any

import pytest

import branchsearch
from branchsearch.jobs.pipeline import Result
from tests.end_to_end.test_cli import answer, program, written
from tests.specs import TINY

#: The job's images, drawn larger.
LARGER = {"name": "scenes", "args": {**TINY["space"]["dataset"]["args"], "size": 24}}

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def export(home: Path, result: Result, to: Path, *others: str) -> Any:  # noqa: ANN401  # JSON
    return answer("export", result.job.id, "--to", to, "--home", home, *others)


def described(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return read


def test_the_job_has_exported_what_it_chose_with_all_that_is_known(result: Result):
    known = described(result.export)
    assert known["tree"] == str(result.tree)
    assert known["measured_on"] == "test"
    names = {task["name"]: task["names"] for task in known["tasks"]}
    assert names == {"depth": None, "normals": None, "seg": ["room", "sphere", "box", "cylinder"]}
    assert known["delta"] == list(result.deltas)
    for measured in known["metrics"].values():
        assert measured.keys() == {"mean", "spread", "seed 1", "seed 2"}
    provenance = known["provenance"]
    assert provenance["spec hash"] == result.job.spec_hash
    assert provenance["spec"] == result.job.spec
    assert (provenance["job"], provenance["weights"]) == (result.job.id, "confirmed")
    assert {"data set", "torch", "seed", "training"} <= provenance.keys()
    assert known["training"]["balancing"]["name"] == "equal_start"
    assert known["training"]["recipe"]["batch_size"] == 24


def test_some_tasks_are_served_with_integers_and_what_that_costs_is_said(
    home: Path, result: Result, tmp_path: Path
):
    to = tmp_path / "net"
    export(home, result, to, "--tasks", "seg,depth", "--formats", "onnx_int8", "--fuse")
    known, whole = described(to), described(result.export)
    assert [task["name"] for task in known["tasks"]] == ["depth", "seg"]
    assert known["metrics"].keys() == {"depth", "seg"}
    assert (known["delta"], known["facts"]["sliced_from"]) == (None, whole["tree"])
    assert known["cost"]["parameters"] < whole["cost"]["parameters"]
    (graph,) = known["graphs"]
    assert (graph["file"], graph["precision"]) == ("model.int8.onnx", "int8")
    assert graph["metrics"]["float32"].keys() == graph["metrics"]["int8"].keys() == {"depth", "seg"}
    proven = json.loads((to / "proof.json").read_text())["graphs"]["model.int8.onnx"]
    assert 0 < proven["relative_rms"] <= proven["tolerance"] == 0.5
    assert not (to / "model.onnx").exists()
    card = (to / "README.md").read_text()
    assert "What 8-bit integers cost" in card
    assert f"serves more tasks, `{whole['tree']}`" in card
    assert f"over 2 seeds. These weights are of seed {known['provenance']['seed']}." in card
    header, slice_, all_ = program("compare", to, result.export).stdout.splitlines()
    assert ("normals" in header, "-" in slice_.split(), "-" in all_.split()) == (True, True, False)


def test_an_export_is_verified_compared_and_brought_back(
    home: Path, result: Result, tmp_path: Path
):
    folder, figure = result.export, tmp_path / "figure.html"
    assert answer("verify", folder)["files"] == len(list(folder.iterdir()))
    trial = next(
        row["number"]
        for row in answer("trials", result.job.id, "--home", home)
        if row["outcome"] == "complete"
    )
    names = [str(folder), result.job.id, f"{result.job.id}:{trial}"]
    one, two, three = answer("compare", *names, "--home", home, "--figure", figure)
    assert [one["name"], two["name"], three["name"]] == names
    for key in ("tree", "metrics", "delta", "parameters", "multiply_adds", "measured_on"):
        assert one[key] == two[key]
    assert one["metrics"]["seg"].keys() == {"mean", "spread"}
    assert (three["measured_on"], three["metrics"]["seg"]["spread"]) == ("validation", None)
    for compared in (one, two, three):
        assert all(compared["seconds"][batch] > 0 for batch in ("1", "32"))
        assert compared["mib"]["32"] > compared["mib"]["1"] > 0
    assert "plotly" in figure.read_text().lower()
    assert "±" in program("compare", folder).stdout
    space, to = written(tmp_path / "space.yaml", TINY["space"]), tmp_path / "again"
    call = ["import", folder, "--train", space, "--to", to, "--home", home, "--epochs", "1"]
    assert answer(*call)["test_metrics"].keys() == {"depth", "normals", "seg"}
    ran = program(*call, "--overwrite", "--tasks", "sky")
    assert (ran.returncode, "no tasks ['sky']" in ran.stderr) == (2, True), ran.stderr
    again = described(to)
    assert again["tree"] == str(result.tree)
    assert again["provenance"]["trained further from"]["job"] == result.job.id
    assert (to / "weights.safetensors").read_bytes() != (
        folder / "weights.safetensors"
    ).read_bytes()
    for more, reason in [
        (["--formats", "onnx"], "without --train nothing is exported"),
        (["--epochs", "3"], "without --train nothing is trained"),
        (["--tasks", ","], "names nothing"),
        (["--device", "gpu"], "'gpu' is none of cpu, cuda"),
        (["--device", "cuda:99"], "there is no cuda:99 here"),
        (["--threads", "0"], "greater than or equal to 1"),
    ]:
        ran = program("import", folder, *more)
        assert (ran.returncode, reason in ran.stderr) == (2, True), ran.stderr
    assert program("compare", f"{result.job.id}:²", "--home", home).returncode == 2


def test_trees_and_the_front_are_exported_with_the_weights_asked_for(
    home: Path, result: Result, tmp_path: Path
):
    front = answer("best", result.job.id, "--home", home)["front"]
    made = export(home, result, tmp_path / "front", "--pareto", "--weights", "scratch")["export"]
    folders = [Path(made)] if isinstance(made, str) else list(map(Path, made))
    assert [folder.name for folder in folders] == [f"trial_{row['number']}" for row in front]
    for folder, row in zip(folders, front, strict=True):
        known = described(folder)
        assert (known["tree"], known["provenance"]["weights"]) == (row["tree"], "scratch")
        assert (known["provenance"]["trial"], known["metrics"]) == (row["number"], {})
        assert "not trained" in (folder / "README.md").read_text()
    tree = str(result.tree)
    to = tmp_path / "tree"
    assert branchsearch.export_network(result.job.id, to, home=home, tree=tree) == [to]
    same = (tmp_path / "tree" / "weights.safetensors").read_bytes()
    assert same == (result.export / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--tree", "a > b"], 2, "names the same tasks"),
        (["--tree", "depth,normals,seg > depth,normals,seg", "--trial", "0"], 2, "not several"),
        (["--weights", "best"], 2, "none of trained, confirmed, scratch"),
        (["--formats", "onxn"], 2, "no formats"),
        (["--tasks", "sky"], 2, "no tasks"),
        (["--trial", "99"], 3, "no trial 99"),
    ],
)
def test_what_cannot_be_exported_is_said_and_leaves_nothing(
    arguments: list[str], code: int, reason: str, home: Path, result: Result, tmp_path: Path
):
    ran = program("export", result.job.id, "--to", tmp_path / "no", "--home", home, *arguments)
    assert ran.returncode == code, ran.stderr
    words = " ".join(ran.stderr.replace("│", " ").split())
    assert reason in words
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_harmed_is_found(result: Result, tmp_path: Path):
    to = tmp_path / "net"
    to.mkdir()
    for path in result.export.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    (to / "tree.txt").write_text("a")
    for command in ("verify", "import"):
        ran = program(command, to)
        assert (ran.returncode, "tree.txt has changed" in ran.stderr) == (1, True)
    assert program("verify", tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dataset": LARGER}, "16x16 pixels, the space has 24x24"),
        ({"tasks": TINY["space"]["tasks"][1:]}, "the network predicts 'seg'"),
    ],
)
def test_a_network_is_trained_further_on_images_that_fit_alone(
    changes: dict[str, Any], reason: str, result: Result, tmp_path: Path
):
    space = written(tmp_path / "space.yaml", {**TINY["space"], **changes})
    ran = program("import", result.export, "--train", space, "--to", tmp_path / "no")
    assert (ran.returncode, reason in ran.stderr) == (2, True), ran.stderr
    assert list(tmp_path.iterdir()) == [space]
