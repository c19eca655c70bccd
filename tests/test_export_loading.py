"""Exported networks brought back: one export for all tests."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchsearch.export.learning import UNKNOWN, Learning
from branchsearch.export.licence import licence
from branchsearch.export.loading import Imported, extended, load_export
from branchsearch.export.sliced import sliced
from branchsearch.export.source import model_source
from branchsearch.model.heads import DenseHead
from branchsearch.tree import Tree
from tests.generators import trees
from tests.tasks import task_of
from tests.test_export_folder import copied, exported
from tests.test_export_source import FOUR_TASKS, MEAN, SIZE, STD, network_of, promise_of, tasks_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("exports") / "net", FOUR_TASKS, facts={"note": 1})


@pytest.fixture(scope="module")
def imported(folder: Path) -> Imported:
    return load_export(folder)


def test_a_network_comes_back_as_it_went(imported: Imported):
    ours, theirs = network_of(FOUR_TASKS).state_dict(), imported.network.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], value) for name, value in ours.items())
    assert imported.network.tree == FOUR_TASKS
    assert [task.name for task in imported.tasks] == list(FOUR_TASKS.tasks)
    for one, other in zip(imported.tasks, tasks_of(FOUR_TASKS), strict=True):
        assert (one.kind, one.metric, one.classes) == (other.kind, other.metric, other.classes)
    assert (imported.size, imported.mean, imported.std) == (SIZE, MEAN, STD)
    assert imported.described["facts"] == {"note": 1}
    assert Learning.from_json(imported.described["training"]) == UNKNOWN


def test_it_is_exported_again_with_the_same_source(folder: Path, imported: Imported):
    again = model_source(imported.network, promise_of(imported.network))
    assert again == (folder / "model.py").read_text(encoding="utf-8")


def test_what_was_said_of_rights_is_said_again(folder: Path, tmp_path: Path):
    net = copied(folder, tmp_path / "net")
    (net / "LICENSE").write_text("Not for sale.\n")
    network = load_export(net).network
    assert licence(network) == "Not for sale.\n"
    assert licence(sliced(network, FOUR_TASKS.tasks[:2])) == "Not for sale.\n"
    assert licence(load_export(folder).network) == (folder / "LICENSE").read_text()


def test_its_source_is_kept_when_the_folder_goes(imported: Imported):
    module = type(imported.network.stages[0].copies[0]).__module__
    assert not Path(str(sys.modules[module].__file__)).exists()


def test_bringing_a_network_back_draws_nothing(folder: Path):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    load_export(folder)
    assert torch.rand(1) == expected


@settings(max_examples=30, deadline=None)
@given(trees(max_tasks=5, max_stages=4), st.data())
def test_a_new_task_goes_along_and_changes_nothing_for_the_others(tree: Tree, data: st.DataObject):
    beside = data.draw(st.sampled_from(tree.tasks))
    shared = data.draw(st.integers(0, len(tree.branches)))
    # before, between and behind the others by name: branches are numbered by it
    new = data.draw(st.sampled_from(["AAA", "c", "zzz"]))
    network = network_of(tree)
    small = Imported(network, tuple(tasks_of(tree)), SIZE, MEAN, STD, described={})
    head = DenseHead(4 + len(tree.branches) - 1, 1)
    found = extended(small, task_of("edges", name=new), head, beside=beside, shared=shared)
    larger = found.network
    assert [task.name for task in found.tasks] == list(larger.tree.tasks)
    images = torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        before, after = network(images), larger(images)
    assert after.keys() == {*before, new}
    assert after[new].shape == (2, 1, *SIZE)
    for task, predicted in before.items():
        torch.testing.assert_close(after[task], predicted, rtol=0, atol=0)
    names = larger.tree.tasks
    for stage, row in enumerate(larger.tree.branches):
        together = row[names.index(new)] == row[names.index(beside)]
        assert together == (stage < shared)


@pytest.mark.parametrize(
    ("task", "beside", "shared"), [("seg", "depth", 1), ("new", "sky", 1), ("new", "depth", 4)]
)
def test_what_cannot_be_put_beside_is_refused(
    task: str, beside: str, shared: int, imported: Imported
):
    new, head = task_of("edges", name=task), DenseHead(6, 1)
    with pytest.raises(ValueError, match="cannot put"):
        extended(imported, new, head, beside=beside, shared=shared)
