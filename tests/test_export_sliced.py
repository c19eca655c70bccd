import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchsearch.export.parts import parts
from branchsearch.export.sliced import sliced
from branchsearch.tree import Tree
from tests.generators import trees
from tests.test_export_source import FOUR_TASKS, SIZE, network_of


@settings(max_examples=25, deadline=None)
@given(trees(max_tasks=6, max_stages=4), st.data())
def test_a_slice_predicts_its_tasks_as_the_whole_does_and_holds_nothing_else(
    tree: Tree, data: st.DataObject
):
    kept = data.draw(st.sets(st.sampled_from(tree.tasks), min_size=1))
    network = network_of(tree)
    part = sliced(network, sorted(kept, reverse=True))
    images = torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        whole, some = network(images), part(images)
    assert list(some) == [task for task in tree.tasks if task in kept]
    for task in kept:
        torch.testing.assert_close(some[task], whole[task], rtol=0, atol=0)
    some_predicted = sum(one.sum() for one in part(images).values())
    torch.autograd.backward(some_predicted)
    assert all(weight.grad is not None for weight in part.parameters())


def test_a_slice_has_the_parameters_of_what_its_tasks_use():
    part = sliced(network_of(FOUR_TASKS), ["seg", "edges-2d"])
    assert str(part.tree) == "edges-2d+seg > edges-2d+seg > edges-2d+seg"
    used = ["stage0_depth_edges_2d_normals_seg", "stage1_edges_2d_seg", "stage2_edges_2d_seg"]
    held = parts(network_of(FOUR_TASKS))
    expected = [held[name] for name in [*used, "head_edges_2d", "head_seg"]]
    count = sum(weight.numel() for module in expected for weight in module.parameters())
    assert sum(weight.numel() for weight in part.parameters()) == count


def test_the_whole_is_not_changed():
    network = network_of(FOUR_TASKS)
    part = sliced(network, ["depth"])
    with torch.no_grad():
        for weight in part.parameters():
            weight.zero_()
    for one, other in zip(network.parameters(), network_of(FOUR_TASKS).parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("tasks", "message"), [(["sky"], "no tasks"), ([], "at least one")])
def test_tasks_that_are_not_there_are_refused(tasks: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        sliced(network_of(FOUR_TASKS), tasks)
