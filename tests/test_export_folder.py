import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from branchsearch.drawing.text import text
from branchsearch.export import folder as folder_module
from branchsearch.export import formats
from branchsearch.export.card import card as model_card
from branchsearch.export.classes import NotExportable
from branchsearch.export.folder import FILES, FolderExists, aside, export
from branchsearch.export.formats import Calibration, Graph
from branchsearch.export.graphs import trace
from branchsearch.export.parts import exported_state
from branchsearch.export.promise import Promise
from branchsearch.export.proof import ProofFailed
from branchsearch.export.training_source import training_source
from branchsearch.model.branched import BranchedNetwork
from branchsearch.tree import Tree
from tests.test_export_source import (
    FOUR_TASKS,
    MEAN,
    SIZE,
    STD,
    images,
    network_of,
    normalised,
    promise_of,
    tasks_of,
)

TREE = Tree.parse("depth+seg > depth,seg")
FACTS = {
    "metrics": {"depth": {"test": 0.25, "single-task": 0.26}, "seg": 0.5},
    "provenance": {"job": "01J", "seeds": [1, 2]},
    "limits": ["Rooms only | no gardens."],
    "note": 1,
}


def exported(
    to: Path,
    tree: Tree = TREE,
    *,
    seed: int = 0,
    facts: Mapping[str, Any] = FACTS,
    **others: Any,  # noqa: ANN401  # arguments of export
) -> Path:
    network = network_of(tree, seed=seed)
    tasks = tasks_of(tree)
    return export(
        to,
        network=network,
        tasks=tasks,
        size=SIZE,
        mean=MEAN,
        std=STD,
        facts=facts,
        **others,
    )


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of four tasks over three stages."""
    facts = {"metrics": {task: {"test": 0.5} for task in FOUR_TASKS.tasks}}
    return exported(tmp_path_factory.mktemp("exports") / "new" / "four", FOUR_TASKS, facts=facts)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of two tasks, to be copied."""
    return exported(tmp_path_factory.mktemp("exports") / "two")


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_a_folder_is_complete_and_nothing_else_is_left(four: Path):
    assert sorted(content(four)) == sorted(FILES)
    assert list(four.parent.iterdir()) == [four]
    assert (four / "tree.txt").read_text() == f"{FOUR_TASKS}\n"


def test_a_folder_may_be_read_by_whoever_may_read_its_neighbours(four: Path, tmp_path: Path):
    (tmp_path / "neighbour").mkdir()
    assert four.stat().st_mode == (tmp_path / "neighbour").stat().st_mode


def test_the_description_says_what_was_promised(two: Path):
    described = json.loads((two / "model.json").read_text(encoding="utf-8"))
    network = network_of(TREE)
    assert described["schema_version"] == 2
    assert described["tree"] == str(TREE)
    assert described["tasks"][1] == {
        "name": "seg",
        "kind": "segmentation",
        "metric": "mean_iou",
        "direction": "maximize",
        "classes": 4,
        "count": None,
        "weight": 1.0,
        "outputs": 4,
        "shape": ["batch", 4, *SIZE],
        "meaning": "a score per class; argmax over dimension 1 is the class",
        "names": None,
        "head": {"name": "dense", "args": {}, "module": "head_seg", "reads": "last"},
        "path": ["stage0_depth_seg", "stage1_seg"],
    }
    assert described["input"] == {
        "shape": ["batch", 3, *SIZE],
        "colours": "RGB",
        "height": SIZE[0],
        "width": SIZE[1],
        "other_sizes": True,
        "mean": list(MEAN),
        "std": list(STD),
    }
    weights = sum(weight.numel() for weight in network.parameters())
    assert described["cost"]["parameters"] == weights
    assert described["single_task_cost"]["parameters"] > weights
    for name in ("metrics", "provenance", "limits"):
        assert described[name] == FACTS[name]
    assert described["facts"] == {"note": 1}


def test_the_card_loads_the_network_without_branchsearch(four: Path, tmp_path: Path):
    found = re.search(
        r"```python\n(.*?)```", (four / "README.md").read_text(encoding="utf-8"), re.S
    )
    assert found is not None
    torch.save({"images": images(2)}, tmp_path / "images")
    program = f"""
import sys
sys.modules["branchsearch"] = None
import torch
images = torch.load({str(tmp_path / "images")!r})["images"]
{found[1]}
torch.save(predictions, {str(tmp_path / "predictions")!r})
"""
    subprocess.run([sys.executable, "-B", "-c", program], cwd=four, check=True)
    predictions = torch.load(tmp_path / "predictions")
    with torch.no_grad():
        expected = network_of(FOUR_TASKS)(normalised(images(2)))
    for task in FOUR_TASKS.tasks:
        torch.testing.assert_close(predictions[task], expected[task])


def test_the_card_shows_the_tree_and_what_was_measured(two: Path):
    card = (two / "README.md").read_text(encoding="utf-8")
    assert text(TREE) in card
    assert "| `depth` | `rmse` | lower | 0.25 | 0.26 |  |" in card
    assert "| `seg` | `mean_iou` | higher |  |  | 0.5 |" in card
    assert "| seeds | `[1, 2]` |" in card
    assert r"- Rooms only \| no gardens." in card


def test_the_card_says_what_its_numbers_and_weights_are_of(two: Path):
    described = json.loads((two / "model.json").read_text())
    proof = json.loads((two / "proof.json").read_text())
    known = {
        **described,
        "measured_on": "test",
        "provenance": {"seed": "8"},
        "facts": {"seeds": [8, 9], "sliced_from": "depth+seg|sky > depth,seg|sky"},
    }
    promise = promise_of(network_of(TREE))
    card = model_card(promise, known, proof)
    assert "All of the test part of the data set: mean ± standard deviation (spread) over" in card
    assert "over 2 seeds. These weights are of seed 8.\n" in card
    assert r"serves more tasks, `depth+seg\|sky > depth,seg\|sky`; what" in card
    of_trial = model_card(promise, {**known, "facts": {}}, proof)
    assert "All of the test part of the data set.\n" in of_trial
    assert "serves more tasks" not in of_trial
    assert "part of the data set" not in (two / "README.md").read_text()


def test_the_tables_of_the_card_hold_whatever_tasks_are_called(two: Path):
    tree = Tree.share_none(["`|`", "a|b", "<b", "|", "``", "\\"], stages=1)
    facts = {"metrics": {task: {"te|st": 1, "`": 2.5} for task in tree.tasks}}
    proof = json.loads((two / "proof.json").read_text())
    described = json.loads((two / "model.json").read_text())
    card = model_card(promise_of(network_of(tree)), {**described, **facts}, proof)
    for table in re.findall(r"(?:^\|.*\n)+", card, re.M):
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(bars) == 1, table


def test_what_numbers_are_called_is_kept_and_shown(two: Path):
    network = network_of(TREE)
    (seg,) = (task for task in tasks_of(TREE) if task.name == "seg")
    called = tuple(f"class|{number}" for number in range(seg.outputs))
    promise = Promise.of(
        network, tasks=tasks_of(TREE), size=SIZE, mean=MEAN, std=STD, names={"seg": called}
    )
    named = {task["name"]: task["names"] for task in promise.tasks_as_json()}
    assert named == {**dict.fromkeys(TREE.tasks), "seg": list(called)}
    proof = json.loads((two / "proof.json").read_text())
    card = model_card(promise, json.loads((two / "model.json").read_text()), proof)
    assert "- `seg`: `class\\|0`, `class\\|1`" in card
    assert "from 0" not in (two / "README.md").read_text()
    with pytest.raises(ValueError, match=f"'seg' has {seg.outputs} outputs, but 1 are named"):
        Promise.of(
            network, tasks=tasks_of(TREE), size=SIZE, mean=MEAN, std=STD, names={"seg": ("one",)}
        )


@pytest.mark.parametrize(
    ("kind", "overwrite"),
    [
        ("export", False),
        *((kind, over) for kind in ("folder", "file", "link", "broken link") for over in (0, 1)),
    ],
)
def test_what_may_not_be_replaced_is_not_touched(
    kind: str, overwrite: bool, two: Path, tmp_path: Path
):
    place, to = tmp_path / "place", tmp_path / "place" / "net"
    place.mkdir()
    match kind:
        case "folder":
            to.mkdir()
            (to / "diary.txt").write_text("mine")
        case "export":
            copied(two, to)
        case "file":
            to.write_text("mine")
        case "link":
            to.symlink_to(copied(two, tmp_path / "elsewhere"))
        case _:
            to.symlink_to(tmp_path / "nowhere")
    before = _everything(tmp_path)
    with pytest.raises(FolderExists, match="net"):
        exported(to, overwrite=overwrite)
    assert _everything(tmp_path) == before


def test_an_export_with_a_file_of_somebody_else_is_not_replaced(two: Path, tmp_path: Path):
    to = copied(two, tmp_path / "net")
    (to / "notes.txt").write_text("mine")
    with pytest.raises(FolderExists, match=r"also holds \['notes.txt'\]"):
        exported(to, overwrite=True)


def test_overwriting_replaces_an_earlier_export(two: Path, tmp_path: Path):
    to = copied(two, tmp_path / "net")
    (to / "__pycache__").mkdir()  # it was used
    exported(to, FOUR_TASKS, facts={}, overwrite=True)
    assert (to / "tree.txt").read_text() == f"{FOUR_TASKS}\n"
    assert list(tmp_path.iterdir()) == [to]


def test_the_folder_that_one_is_in_is_replaced(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    to = copied(two, tmp_path / "net")
    monkeypatch.chdir(to)
    assert exported(Path(), FOUR_TASKS, facts={}, overwrite=True) == Path()
    assert (to / "tree.txt").read_text() == f"{FOUR_TASKS}\n"
    assert list(tmp_path.iterdir()) == [to]


def _flipped(network: BranchedNetwork) -> dict[str, Tensor]:
    state = exported_state(network)
    state["head_seg.predict.bias"] = -state["head_seg.predict.bias"]
    return state


@pytest.mark.parametrize("replaced", [False, True])
def test_without_a_proof_there_is_no_new_folder(
    replaced: bool, two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    to = tmp_path / "net"
    if replaced:
        copied(two, to)
    before = _everything(tmp_path)
    monkeypatch.setattr(folder_module, "exported_state", _flipped)
    with pytest.raises(ProofFailed, match="task 'seg'"):
        exported(to, overwrite=replaced)
    assert _everything(tmp_path) == before


def test_an_export_that_was_put_away_comes_back_when_its_place_is_not_taken(
    two: Path, tmp_path: Path
):
    to = copied(two, tmp_path / "net")
    with pytest.raises(FileNotFoundError), aside(to, tmp_path / "away", overwrite=True):
        (tmp_path / "nothing").rename(to)
    assert content(to) == content(two)
    assert list(tmp_path.iterdir()) == [to]


@pytest.mark.parametrize(("room", "formats"), [(8192, []), (60_000, ["pt2"])])
def test_a_full_disk_leaves_nothing(room: int, formats: list[str], tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            exported(tmp_path / "net", formats=formats)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    # root may write anywhere but here
    place = Path("/proc/self") if os.geteuid() == 0 else locked
    with pytest.raises(OSError, match=str(place)):
        exported(place / "net")


def test_a_link_in_an_export_is_replaced_and_what_it_leads_to_stays(two: Path, tmp_path: Path):
    to, elsewhere = copied(two, tmp_path / "net"), tmp_path / "weights"
    (to / "weights.safetensors").rename(elsewhere)
    (to / "weights.safetensors").symlink_to(elsewhere)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("mine")
    (to / "__pycache__").symlink_to(tmp_path / "mine")
    before = elsewhere.read_bytes()
    exported(to, seed=1, overwrite=True)
    assert elsewhere.read_bytes() == before
    assert (tmp_path / "mine" / "diary.txt").read_text() == "mine"
    assert not (to / "weights.safetensors").is_symlink()
    assert (to / "weights.safetensors").read_bytes() != before


def test_an_export_below_a_link_goes_to_where_it_leads(two: Path, tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    copied(two, tmp_path / "real" / "net")
    with pytest.raises(FolderExists):
        exported(tmp_path / "link" / "net")
    assert content(tmp_path / "real" / "net") == content(two)


@pytest.mark.parametrize(
    ("formats", "message"),
    [(["tensorflow"], r"no formats \['tensorflow'\]"), (["onnx_int8"], "needs images")],
)
def test_formats_that_cannot_be_made_leave_nothing(
    formats: list[str], message: str, tmp_path: Path
):
    with pytest.raises(ValueError, match=message):
        exported(tmp_path / "net", formats=formats)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_does_something_else_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def other(folder: Path, network: BranchedNetwork, promise: Promise, **_: object) -> list[Graph]:
        with torch.no_grad():
            network.heads[0].predict.bias += 1
        return [_graph(folder, network, promise)]

    monkeypatch.setattr(folder_module, "write_graphs", other)
    with pytest.raises(ProofFailed, match=r"model.pt2, task 'depth', 1 images: the outputs differ"):
        exported(tmp_path / "net", formats=["pt2"])
    assert list(tmp_path.iterdir()) == []


def test_a_graph_of_integers_that_predicts_nothing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def zeroed(source: Path, to: Path, **_: object) -> None:
        model = onnx.load(source)
        for one in model.graph.initializer:
            if one.name.endswith(("weight", "bias")):
                zeros = np.zeros(one.dims, np.float32)
                one.CopyFrom(onnx.numpy_helper.from_array(zeros, one.name))
        onnx.save_model(model, to)

    monkeypatch.setattr(formats, "write_int8", zeroed)
    calibration = Calibration(images(16), lambda _: dict.fromkeys(TREE.tasks, 0.5))
    with pytest.raises(ProofFailed, match=r"model.int8.onnx, task .* 1 of their root mean square"):
        exported(tmp_path / "net", formats=["onnx_int8"], calibration=calibration)
    assert list(tmp_path.iterdir()) == []


def _graph(folder: Path, network: BranchedNetwork, promise: Promise) -> Graph:
    traced, dynamic = trace(network, promise.size, [])
    torch.export.save(traced, folder / "model.pt2")
    return Graph("model.pt2", "float32", False, dynamic, "images", promise.tree.tasks, 1e-5)


def test_a_training_file_that_leaves_a_branch_untrained_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def forgetful(*given: object) -> str:
        source = training_source(*given)
        return source.replace("list(network.parameters())", "list(network.head_seg.parameters())")

    monkeypatch.setattr(folder_module, "training_source", forgetful)
    with pytest.raises(ProofFailed, match=r"train.py does not train \['head_depth', 'stage0_dep"):
        exported(tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_the_picture_and_the_licence_say_what_they_should(two: Path):
    picture = ElementTree.parse(two / "tree.svg").getroot()
    assert picture.tag.endswith("svg")
    assert str(TREE) in "".join(picture.itertext())
    assert "![" in (two / "README.md").read_text()
    assert "(tree.svg)" in (two / "README.md").read_text()
    licence = (two / "LICENSE").read_text()
    assert "branchsearch's, Apache License 2.0" in licence
    assert "terms of\nthose images and labels" in licence


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_stage_that_forgets_its_arguments_leaves_nothing(overwrite: bool, tmp_path: Path):
    network = network_of(TREE)
    for copy in network.stages[0].copies:
        del copy.blocks
    with pytest.raises(NotExportable, match=r"ResidualStage: it does not keep .* 'blocks'"):
        export(
            tmp_path / "net",
            network=network,
            tasks=tasks_of(TREE),
            size=SIZE,
            mean=MEAN,
            std=STD,
            facts={},
            overwrite=overwrite,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"metrics": {"depth": float("nan")}}, "not plain JSON"),
        ({"module": nn.Identity()}, "not plain JSON"),
        ({"metrics": {"depht": 1.0}}, r"metrics of \['depht'\]"),
    ],
)
def test_facts_that_cannot_be_kept_are_refused(
    facts: Mapping[str, Any], message: str, tmp_path: Path
):
    with pytest.raises(ValueError, match=message):
        exported(tmp_path / "net", facts=facts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tasks": tasks_of(TREE)[:1]}, "are not those of"),
        ({"tasks": [*tasks_of(TREE), tasks_of(TREE)[0]]}, "are not those of"),
        ({"tasks": tasks_of(Tree.parse("depth,sky"))}, "are not those of"),
        ({"size": (0, 8)}, "height and width"),
        ({"mean": (0.5, 0.5)}, "three numbers"),
        ({"std": (0.0, 0.5, 0.5)}, "positive"),
    ],
)
def test_what_does_not_fit_the_network_is_refused(
    wrong: Mapping[str, Any], message: str, tmp_path: Path
):
    right = {"tasks": tasks_of(TREE), "size": SIZE, "mean": MEAN, "std": STD}
    with pytest.raises(ValueError, match=message):
        export(tmp_path / "net", network=network_of(TREE), facts={}, **{**right, **wrong})
    assert list(tmp_path.iterdir()) == []


def test_a_head_with_other_outputs_than_its_task_is_refused(tmp_path: Path):
    depth, seg = tasks_of(TREE)
    swapped = [replace(depth, name="seg"), replace(seg, name="depth")]
    with pytest.raises(ValueError, match=r"'depth' has 4 outputs, but its head gives \(1, 8, 12\)"):
        export(
            tmp_path / "net",
            network=network_of(TREE),
            tasks=swapped,
            size=SIZE,
            mean=MEAN,
            std=STD,
            facts={},
        )


def _everything(place: Path) -> dict[str, bytes | str]:
    """Every name below a place, and what is behind it."""
    return {
        str(path): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
