import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from branchsearch.backbones.resnet import resnet
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import DenseHead, FPNHead
from branchsearch.train.alignment import align
from branchsearch.train.inheritance import Inherit, inherit
from branchsearch.tree import Tree
from tests.generators import trees
from tests.networks import small

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def learnt(network: BranchedNetwork, seed: int) -> BranchedNetwork:
    """With other weights and statistics, as after a training."""
    draw = torch.Generator().manual_seed(seed)
    for value in [*network.parameters(), *network.buffers()]:
        if value.is_floating_point():
            value.data = torch.rand(value.shape, generator=draw) - 0.5 * (value.ndim > 1)
    return network.eval()


def alone(tree: Tree, *, like: bool = False) -> dict[str, BranchedNetwork]:
    stages = len(tree.branches)
    return {
        task: learnt(small(Tree.share_all([task], stages)), 0 if like else number)
        for number, task in enumerate(tree.tasks)
    }


@given(trees(max_tasks=4, max_stages=3))
@settings(max_examples=15)
def test_a_copy_is_that_of_the_first_task_of_the_branch(tree: Tree):
    networks = alone(tree)
    network = small(tree)
    inherit(network, networks, Inherit.COPY)
    for number, stage in enumerate(network.stages):
        for members, copy in zip(tree.members(number), stage.copies, strict=True):
            original = networks[members[0]].stages[number].copies[0].state_dict()
            for name, value in copy.state_dict().items():
                assert torch.equal(value, original[name])
    first = tree.tasks[0]  # all on its path are its own
    torch.testing.assert_close(network.eval()(IMAGES)[first], networks[first](IMAGES)[first])


@given(trees(max_tasks=3, max_stages=3), st.sampled_from(Inherit))
@settings(max_examples=15)
def test_equal_networks_are_inherited_as_they_are(tree: Tree, how: Inherit):
    networks = alone(tree, like=True)
    network = small(tree).eval()
    inherit(network, networks, how)
    predicted = network(IMAGES)
    for task in tree.tasks:
        torch.testing.assert_close(predicted[task], networks[task](IMAGES)[task])


@pytest.mark.parametrize("how", Inherit)
def test_a_task_by_itself_keeps_its_network_and_nothing_is_changed(how: Inherit):
    tree = Tree.parse("a,b > a,b")
    networks = alone(tree)
    before = deepcopy(networks)
    network = small(tree).eval()
    inherit(network, networks, how)
    for task, prediction in network(IMAGES).items():
        torch.testing.assert_close(prediction, networks[task](IMAGES)[task])
        ours, theirs = networks[task].state_dict(), before[task].state_dict()
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def chain(blocks: int, seed: int, head: nn.Module | None = None) -> BranchedNetwork:
    stages = resnet(channels=[4, 4, 6], strides=[1, 1, 2], blocks=blocks).modules
    tree = Tree.share_all(["a"], 3)
    return learnt(BranchedNetwork(tree, stages, {"a": head or DenseHead(6, 2)}), seed).double()


def parts(network: BranchedNetwork) -> tuple[list[nn.Module], nn.Module]:
    return [stage.copies[0] for stage in network.stages], network.heads[0]


@pytest.mark.parametrize("blocks", [1, 2])
def test_reordered_channels_change_no_prediction(blocks: int):
    network, other = chain(blocks, seed=1), chain(blocks, seed=2)
    before = network(IMAGES.double())["a"]
    weights = deepcopy(network.state_dict())
    assert align(*parts(network), parts(other)[0])
    assert any(not torch.equal(v, weights[name]) for name, v in network.state_dict().items())
    torch.testing.assert_close(network(IMAGES.double())["a"], before)


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_network_in_another_order_is_found_again(blocks: int):
    reference, shuffled, stranger = (chain(blocks, seed) for seed in (1, 1, 5))
    align(*parts(shuffled), parts(stranger)[0])
    assert not same(shuffled, reference)
    align(*parts(shuffled), parts(reference)[0])
    assert same(shuffled, reference)


def same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


class Pointwise(nn.Conv2d):
    """A head of another kind."""

    def forward(self, features: Tensor, size: torch.Size) -> Tensor:  # noqa: ARG002
        return super().forward(features)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("head", [Pointwise(6, 2, 1), FPNHead([4, 4, 6], 2)])
def test_what_another_kind_of_head_reads_keeps_its_order(blocks: int, head: nn.Module):
    network, other = (chain(blocks, seed, head) for seed in (1, 2))
    before = network(IMAGES.double())["a"]
    assert align(*parts(network), parts(other)[0])
    torch.testing.assert_close(network(IMAGES.double())["a"], before)


def test_the_mean_of_one_network_in_two_orders_is_that_network():
    tree = Tree.parse("a+b > a+b > a+b")
    first, second, stranger = (chain(1, seed) for seed in (1, 1, 5))
    align(*parts(second), parts(stranger)[0])
    stages = resnet(channels=[4, 4, 6], strides=[1, 1, 2]).modules
    network = (
        BranchedNetwork(tree, stages, {task: DenseHead(6, 2) for task in "ab"}).eval().double()
    )
    inherit(network, {"a": first, "b": second}, Inherit.MEAN)
    for prediction in network(IMAGES.double()).values():
        torch.testing.assert_close(prediction, first(IMAGES.double())["a"])


def test_stages_of_another_kind_are_averaged_as_they_are():
    assert not align([nn.Conv2d(3, 2, 1)], nn.Identity(), [nn.Conv2d(3, 2, 1)])


def test_a_task_without_a_network_is_named():
    tree = Tree.parse("a+b > a,b")
    with pytest.raises(ValueError, match="no network to inherit from for b"):
        inherit(small(tree), {"a": small(Tree.share_all(["a"], 2))}, Inherit.COPY)


def test_who_aligns_nothing_does_not_wait_for_what_aligns():
    program = "import branchsearch.train.inheritance, sys; print('scipy.optimize' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "False\n"
