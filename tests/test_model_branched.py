import pytest
import torch
from hypothesis import given
from torch import nn

from branchsearch.model.branched import BranchedNetwork
from branchsearch.tree import Tree
from tests.generators import trees
from tests.networks import small


class Pixelwise(nn.Conv2d):
    """A head of one convolution."""

    def forward(self, features: torch.Tensor, size: torch.Size) -> torch.Tensor:  # noqa: ARG002
        return super().forward(features)


def toy_network(tree: Tree) -> BranchedNetwork:
    stages = [nn.Conv2d(2, 2, 1) for _ in tree.branches]
    stages[0] = nn.Conv2d(3, 2, 1)
    return BranchedNetwork(tree, stages, {task: Pixelwise(2, 1, 1) for task in tree.tasks})


@given(trees(max_tasks=4, max_stages=3))
def test_a_task_trains_exactly_the_copies_on_its_path(tree: Tree):
    for column, task in enumerate(tree.tasks):
        network = toy_network(tree)
        network(torch.ones(1, 3, 3, 3))[task].sum().backward()
        trained = [
            [copy.weight.grad is not None for copy in stage.copies] for stage in network.stages
        ]
        on_path = [
            [branch == row[column] for branch in range(width)]
            for row, width in zip(tree.branches, tree.widths, strict=True)
        ]
        assert trained == on_path


@given(trees(max_tasks=4, max_stages=3))
def test_a_branch_runs_once_however_many_tasks_take_it(tree: Tree):
    network, runs = toy_network(tree), []
    for stage in network.stages:
        for copy in stage.copies:
            copy.register_forward_hook(lambda *_: runs.append(1))
    network(torch.ones(2, 3, 3, 3))
    assert len(runs) == sum(tree.widths)


@given(trees(max_tasks=4, max_stages=3))
def test_copies_start_alike_and_leave_what_they_were_copied_from(tree: Tree):
    stages = [nn.Conv2d(3 if stage == 0 else 2, 2, 1) for stage in range(len(tree.branches))]
    heads = {task: Pixelwise(2, 1, 1) for task in tree.tasks}
    network = BranchedNetwork(tree, stages, heads)
    for original, stage in zip(stages, network.stages, strict=True):
        for copy in stage.copies:
            torch.testing.assert_close(copy.weight, original.weight)
            assert copy.weight is not original.weight


@given(trees(max_tasks=4, max_stages=3))
def test_a_shared_copy_gets_the_mean_of_its_tasks_gradients(tree: Tree):
    def gradients(of: list[str], network: BranchedNetwork) -> list[torch.Tensor]:
        network.zero_grad()
        outputs = network(torch.linspace(-1, 1, 12).view(1, 3, 2, 2))
        sum(outputs[task].square().sum() for task in of).backward()
        return [
            copy.weight.grad.clone() if copy.weight.grad is not None else torch.zeros(())
            for stage in network.stages
            for copy in stage.copies
        ]

    network = toy_network(tree)
    alone = [gradients([task], network) for task in tree.tasks]
    gradients(list(tree.tasks), network)
    network.average_gradients()
    users = [len(m) for stage in range(len(tree.branches)) for m in tree.members(stage)]
    copies = [copy for stage in network.stages for copy in stage.copies]
    for number, (copy, count) in enumerate(zip(copies, users, strict=True)):
        mean = sum(task[number] for task in alone) / count
        torch.testing.assert_close(copy.weight.grad, mean)


@given(trees(max_tasks=4, max_stages=3))
def test_every_task_is_predicted_at_the_size_of_the_image(tree: Tree):
    outputs = [1 + number % 3 for number in range(len(tree.tasks))]
    predicted = small(tree, outputs)(torch.rand(2, 3, 16, 24))
    assert {task: tuple(p.shape) for task, p in predicted.items()} == {
        task: (2, count, 16, 24) for task, count in zip(tree.tasks, outputs, strict=True)
    }


def test_heads_and_stages_must_fit_the_tree():
    tree = Tree.parse("a+b > a,b")
    with pytest.raises(ValueError, match="do not fit"):
        BranchedNetwork(tree, [nn.Identity()], {"a": nn.Identity(), "b": nn.Identity()})
    with pytest.raises(ValueError, match="do not fit"):
        BranchedNetwork(tree, [nn.Identity()] * 2, {"a": nn.Identity()})
