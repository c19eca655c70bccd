import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from branchsearch.backbones.resnet import resnet
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.footprint import (
    Footprint,
    FootprintTable,
    activation_bytes,
    footprint_table,
    forward_seconds,
)
from branchsearch.model.heads import DenseHead
from branchsearch.tree import Tree
from tests.generators import trees

CPU = torch.device("cpu")


@given(trees(max_tasks=4, max_stages=3))
@settings(max_examples=4)
def test_activations_of_parts_add_up_to_those_of_the_network(tree: Tree):
    channels = [4, 6, 8][: len(tree.branches)]
    stages = resnet(channels=channels).modules
    heads: dict[str, nn.Module] = {task: DenseHead(channels[-1], 1) for task in tree.tasks}
    table = footprint_table(stages, heads, (16, 24), batch=1, device=CPU, repeats=1)
    network = BranchedNetwork(tree, stages, heads)
    whole = activation_bytes(network, torch.zeros(1, 3, 16, 24))
    assert table.of(tree).activation_bytes == whole


class Squares(nn.Module):
    """Keeps what it squares, and what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return (images * self.scale).square()


def test_activations_by_hand():
    # the product is kept for the square's gradient; the square is what is given; 4 bytes each
    assert activation_bytes(Squares(), torch.zeros(7, 3, 8, 8)) == 2 * 3 * 8 * 8 * 4
    assert activation_bytes(nn.Identity(), torch.zeros(7, 3, 8, 8)) == 0


class Sleeps(nn.Module):
    """Says how often it ran."""

    def __init__(self, runs: list[bool]) -> None:
        super().__init__()
        self.runs = runs

    def __deepcopy__(self, _: object) -> "Sleeps":
        return Sleeps(self.runs)

    def forward(self, images: Tensor) -> Tensor:
        self.runs.append(self.training)
        return images


def test_time_is_that_of_the_forward_pass_that_was_least_disturbed(
    monkeypatch: pytest.MonkeyPatch,
):
    clock = iter([0.0, 5.0, 10.0, 12.0, 20.0, 29.0])
    monkeypatch.setattr("branchsearch.model.footprint.time.perf_counter", lambda: next(clock))
    runs: list[bool] = []
    assert forward_seconds(Sleeps(runs), torch.zeros(1), device=CPU, repeats=3) == 2.0
    assert runs == [False] * 4  # the first one is not measured


def test_a_tree_needs_what_its_copies_and_heads_need():
    table = FootprintTable(
        (Footprint(10, 1.0), Footprint(100, 2.0)), {"a": Footprint(1, 0.5), "b": Footprint(2, 0.25)}
    )
    assert table.of(Tree.parse("a+b > a,b")) == Footprint(213, 5.75)
    assert table.of(Tree.parse("a+b > a+b")) == Footprint(113, 3.75)
