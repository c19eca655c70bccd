"""A training that was killed goes on as if nothing had been."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import DenseHead
from branchsearch.train.balancing.gradnorm import gradnorm
from branchsearch.train.balancing.rlw import rlw
from branchsearch.train.checkpoint import Checkpoints
from branchsearch.train.fit import Epoch
from branchsearch.train.recipe import Recipe
from branchsearch.tree import Tree
from tests.trainings import RECIPE, epochs, network, same_weights


class Drops(nn.Module):
    """A stage with all that has a state: weights, running statistics, chance."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.3))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


def dropping() -> BranchedNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        heads = {task: DenseHead(4, 1) for task in ("a", "b")}
        return BranchedNetwork(Tree.parse("a+b"), [Drops()], heads)


RECIPES = [
    RECIPE,
    replace(RECIPE, optimizer="sgd", schedule="poly", averaging=0.9, clip=0.1),
    replace(RECIPE, precision="float16", accumulate=2),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=["default", "sgd", "float16"])
@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("make", [gradnorm, rlw])
def test_a_resumed_training_is_the_whole_one_to_the_last_bit(
    tmp_path: Path, recipe: Recipe, after: int, make: Callable[..., nn.Module]
):
    def run(trained: BranchedNetwork, checkpoints: Checkpoints | None) -> Iterator[Epoch]:
        balancing = make({"a": 1.0, "b": 2.0})
        return epochs(trained, recipe, balancing=balancing, checkpoints=checkpoints, seed=4)

    whole, resumed = dropping(), dropping()
    expected = list(run(whole, None))
    killed = run(dropping(), Checkpoints(tmp_path))
    for _ in range(after):
        next(killed)
    killed.close()
    told = list(run(resumed, Checkpoints(tmp_path)))
    assert same_weights(whole, resumed)
    assert [replace(epoch, seconds=0.0) for epoch in told] == [
        replace(epoch, seconds=0.0) for epoch in expected
    ]


def test_epochs_before_the_checkpoint_are_not_trained_again(tmp_path: Path):
    first = epochs(network(), checkpoints=Checkpoints(tmp_path))
    before = [next(first), next(first)]
    first.close()
    told = epochs(network(), checkpoints=Checkpoints(tmp_path))
    assert [next(told), next(told)] == before  # seconds, too: told from the file
    assert next(told).number == 3


def states(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_the_last_two_are_kept_and_the_newest_is_used(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path / "states")
    assert checkpoints.newest() is None
    for number in (1, 2, 9, 10):
        checkpoints.save(number, {"number": number, "weights": torch.full((3,), number)})
    assert states(checkpoints.folder) == ["00000009.checkpoint", "00000010.checkpoint"]
    newest = Checkpoints(checkpoints.folder).newest()
    assert newest["number"] == 10
    assert newest["weights"].tolist() == [10, 10, 10]
    checkpoints.remove()
    assert not checkpoints.folder.exists()
    checkpoints.remove()  # also when there is none


@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_the_older_is_used_when_the_newer_is_torn(tmp_path: Path, harm: str):
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2):
        checkpoints.save(number, {"number": number})
    newest = tmp_path / "00000002.checkpoint"
    content = bytearray(newest.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
    newest.write_bytes({"cut": content[:-7], "flip": content, "empty": b""}[harm])
    assert checkpoints.newest() == {"number": 1}
    (tmp_path / "00000001.checkpoint").write_bytes(b"")
    assert checkpoints.newest() is None


def test_a_torn_checkpoint_costs_time_and_nothing_else(tmp_path: Path):
    whole, resumed = network(), network()
    list(epochs(whole))
    killed = epochs(network(), checkpoints=Checkpoints(tmp_path))
    next(killed), next(killed)
    killed.close()
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    assert len(list(epochs(resumed, checkpoints=Checkpoints(tmp_path)))) == 3
    assert same_weights(whole, resumed)


def test_a_file_that_is_being_written_is_no_state(tmp_path: Path):
    (tmp_path / ".00000003.checkpoint.x1").write_bytes(b"half")
    assert Checkpoints(tmp_path).newest() is None


def test_states_are_not_kept_more_often_than_asked(tmp_path: Path):
    seconds = iter([0.0, 3.0, 12.0, 12.0, 15.0, 23.0, 23.0])
    checkpoints = Checkpoints(tmp_path, every_seconds=10.0, clock=lambda: next(seconds))
    for number in (1, 2, 3, 4):
        checkpoints.save(number, {})
    assert states(tmp_path) == ["00000002.checkpoint", "00000004.checkpoint"]


def test_nothing_in_a_checkpoint_is_run_when_it_is_read(tmp_path: Path):
    """Only plain values and tensors are read back: a file from elsewhere cannot bring code."""
    Checkpoints(tmp_path).save(1, {"stage": nn.Identity()})
    with pytest.raises(Exception, match="Weights only load failed"):
        Checkpoints(tmp_path).newest()
