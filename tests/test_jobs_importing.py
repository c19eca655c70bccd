"""An exported network brought back, extended, trained further and handed out: one for all tests."""

import json
from pathlib import Path
from shutil import copytree

import pytest
import torch

from branchsearch.backbones.resnet import resnet
from branchsearch.export.folder import FolderExists, export
from branchsearch.export.loading import Imported, extended, load_export
from branchsearch.export.verify import verify
from branchsearch.jobs import importing
from branchsearch.jobs.check import check_space
from branchsearch.jobs.handing import Handing
from branchsearch.jobs.importing import bring_back, retrain
from branchsearch.jobs.reading import read_space
from branchsearch.jobs.training import build_heads
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import DenseHead
from branchsearch.tree import Tree
from tests.end_to_end.test_cli import written
from tests.specs import TINY

AS_SOURCE = Handing()
TREE = Tree.parse("depth+normals > depth,normals")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the images are kept."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def space(root: Path) -> Path:
    return written(root / "space.yaml", TINY["space"])


@pytest.fixture(scope="module")
def folder(root: Path, space: Path) -> Path:
    """An untrained network of two of the space's three tasks."""
    tasks = tuple(task for task in check_space(read_space(space)).tasks if task.name != "seg")
    backbone = resnet(channels=[4, 6], strides=[2, 1])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = BranchedNetwork(TREE, backbone.modules, build_heads(backbone, tasks))
    return export(
        root / "net",
        network=network,
        tasks=tasks,
        size=(16, 16),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        facts={"provenance": {"job": "01J"}},
    )


def trained(
    imported: Imported, space: Path, to: Path, root: Path, how: Handing = AS_SOURCE
) -> dict[str, float]:
    """Trained further, for one epoch."""
    return retrain(
        imported, space, to, root=root, epochs=1, seed=0, threads=1, device="cpu", how=how
    )


def test_a_network_with_one_more_task_is_trained_and_exported(
    folder: Path, space: Path, root: Path, tmp_path: Path
):
    (seg,) = (task for task in check_space(read_space(space)).tasks if task.name == "seg")
    larger = extended(bring_back(folder), seg, DenseHead(6, 4), beside="depth", shared=1)
    judged = trained(larger, space, tmp_path / "net", root)
    assert judged.keys() == {"depth", "normals", "seg"}
    again = load_export(tmp_path / "net")
    assert again.described["tasks"][2]["names"] == ["room", "sphere", "box", "cylinder"]
    assert str(again.network.tree) == "depth+normals+seg > depth,normals,seg"
    assert [task.name for task in again.tasks] == ["depth", "normals", "seg"]
    before, after = larger.network.state_dict(), again.network.state_dict()
    weights = {name for name, _ in larger.network.named_parameters()}
    assert not any(torch.equal(before[name], after[name]) for name in weights)


def test_some_tasks_are_trained_further_and_exported_in_the_place_of_what_was_there(
    folder: Path, space: Path, root: Path, tmp_path: Path
):
    to = tmp_path / "net"
    copytree(folder, to)
    how = Handing(formats=("onnx_int8",), tasks=("depth",), overwrite=True)
    judged = trained(bring_back(folder), space, to, root, how)
    assert judged.keys() == {"depth"}
    described = json.loads((to / "model.json").read_text())
    assert (described["tree"], described["facts"]["sliced_from"]) == ("depth > depth", str(TREE))
    assert described["metrics"]["depth"]["test"] == judged["depth"]
    verify(to)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (Handing(tasks=("sky",)), r"no tasks \['sky'\] in a network of depth, normals"),
        (Handing(formats=("onxn",)), r"no formats \['onxn'\]"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_trained(
    folder: Path, space: Path, root: Path, monkeypatch: pytest.MonkeyPatch, how: Handing, says: str
):
    monkeypatch.setattr(importing, "fit", None)
    with pytest.raises(ValueError, match=says):
        trained(bring_back(folder), space, root / "not-made", root, how)
    assert not (root / "not-made").exists()


@pytest.mark.parametrize("nothing", [{"epochs": 0}, {"epochs": -1}, {"threads": 0}])
def test_a_training_of_nothing_is_refused(
    nothing: dict[str, int], folder: Path, space: Path, root: Path, tmp_path: Path
):
    asked = {"epochs": 1, "seed": 0, "threads": 1, "device": "cpu", "how": AS_SOURCE, **nothing}
    with pytest.raises(ValueError, match="epochs and threads are at least 1"):
        retrain(bring_back(folder), space, tmp_path / "net", root=root, **asked)  # type: ignore[arg-type]


def test_a_folder_that_is_there_is_refused_before_anything_is_trained(
    folder: Path, space: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importing, "fit", None)
    with pytest.raises(FolderExists, match="net exists"):
        trained(bring_back(folder), space, folder, root)
