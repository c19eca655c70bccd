from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from branchsearch.affinity import estimate as estimating
from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.estimate import estimate, pair_trees
from branchsearch.affinity.features import NotComparable
from branchsearch.affinity.measure import Measure
from branchsearch.datasets.dataset import PARTS, Dataset, Label, Part
from branchsearch.jobs.measures import find_measures
from branchsearch.model.branched import BranchedNetwork
from branchsearch.task import Direction, Task
from branchsearch.tree import Tree
from tests.networks import small

NAMES = ("a", "b", "c")
STAGES = 2
GAINS = {(one, other): ord(one) / 1000 + ord(other) / 500 for one in NAMES for other in NAMES}
TASKS = [Task(name, "depth", "rmse", Direction.MINIMIZE) for name in NAMES]


@dataclass
class Network:
    """A finished training: weights by chance, a metric that falls with what is shared."""

    tree: Tree

    def trained(self) -> BranchedNetwork:
        torch.manual_seed(sum(map(ord, str(self.tree))))
        return small(self.tree)

    def result(self) -> dict[str, Any]:
        """An error of 1 alone; every stage shared takes off as much as task and partner decide."""
        stages = sum(width == 1 for width in self.tree.widths)
        first, last = self.tree.tasks[0], self.tree.tasks[-1]
        off = {first: GAINS[first, last], last: GAINS[last, first]} if first != last else {}
        return {"metrics": {task: 1 - stages * off.get(task, 0.0) for task in self.tree.tasks}}


@dataclass
class Trainer:
    """Remembers what it was asked for."""

    asked: list[Tree] = field(default_factory=list)

    def __call__(self, trees: Sequence[Tree]) -> list[Network]:
        self.asked += trees
        return [Network(tree) for tree in trees]


def dataset(probe: int = 12, train: int = 20) -> Dataset:
    draw = np.random.default_rng(0)

    def part(count: int) -> Part:
        images = draw.integers(0, 256, (count, 3, 8, 8), np.uint8)
        targets = {name: draw.normal(size=(count, 1, 8, 8)).astype(np.float16) for name in NAMES}
        return Part(images, targets)

    parts = {name: part(train if name == "train" else probe) for name in PARTS}
    labels = {name: Label("depth") for name in NAMES}
    return Dataset(labels, parts, (0.5, 0.5, 0.5), (0.3, 0.3, 0.3), "none")


def squared(predicted: Tensor, target: Tensor) -> Tensor:
    return (predicted - target).square().mean()


def measured(measures: Sequence[str], trainer: Trainer, **changes: Any) -> list[Affinity]:  # noqa: ANN401
    options = {
        "tasks": TASKS,
        "stages": STAGES,
        "train": trainer,
        "dataset": dataset(),
        "losses": dict.fromkeys(NAMES, squared),
        "batches": 4,
        "batch_size": 8,
        "step": 0.01,
        "draws": 20,
        "seed": 0,
        "device": torch.device("cpu"),
    }
    return estimate(find_measures(measures), **{**options, **changes})


def test_every_measure_of_the_catalog_is_estimated_and_comes_back_as_it_went(tmp_path: Path):
    names = ["rsa", "cka", "gradient_cosine", "tag", "two_task"]
    found = measured(names, Trainer())
    assert [affinity.measure for affinity in found] == names
    for affinity in found:
        assert affinity.tasks == NAMES
        assert affinity.estimate.values.shape == (STAGES, 3, 3)
        assert np.isfinite(affinity.estimate.values).all()
        path = tmp_path / f"{affinity.measure}.npz"
        affinity.save(path)
        again = Affinity.load(path)
        assert (again.measure, again.tasks) == (affinity.measure, affinity.tasks)
        for part in ("values", "low", "high", "chance"):
            np.testing.assert_array_equal(
                getattr(again.estimate, part), getattr(affinity.estimate, part)
            )


def test_only_what_the_measures_read_is_trained():
    alone = [Tree.share_all([name], STAGES) for name in NAMES]
    shared = Tree.share_all(NAMES, STAGES)
    for measures, expected in [
        (["rsa"], alone),
        (["gradient_cosine"], [shared]),
        (["tag"], [shared]),
        (["rsa", "tag"], [*alone, shared]),
        (["two_task"], [*alone, *pair_trees(NAMES, STAGES).values()]),
    ]:
        trainer = Trainer()
        measured(measures, trainer)
        assert trainer.asked == expected


def test_several_measures_read_once(monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    for name in ("stage_features", "read_batches"):
        real = getattr(estimating, name)

        def counted(*given: Any, _name: str = name, _real: Any = real, **named: Any) -> Any:  # noqa: ANN401
            calls.append(_name)
            return _real(*given, **named)

        monkeypatch.setattr(estimating, name, counted)
    together = measured(["rsa", "cka", "gradient_cosine", "tag"], Trainer())
    assert calls == ["stage_features"] * len(NAMES) + ["read_batches"]
    apart = [measured([affinity.measure], Trainer())[0] for affinity in together]
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one.estimate.values, other.estimate.values)


def test_the_same_network_for_every_task_is_alike_everywhere():
    class Same(Trainer):
        def __call__(self, trees: Sequence[Tree]) -> list[Network]:
            return [Network(Tree.share_all(["a"], STAGES)) for _ in trees]

    for affinity in measured(["rsa", "cka"], Same()):
        np.testing.assert_allclose(affinity.estimate.values, 1, atol=1e-6)


def test_gains_are_percents_of_the_single_task_networks():
    (found,) = measured(["two_task"], Trainer())
    for i, j in permutations(range(3), 2):
        gained = 100 * GAINS[NAMES[i], NAMES[j]]
        np.testing.assert_allclose(found.estimate.values[:, i, j], gained)


def test_two_tasks_are_trained_at_every_depth():
    trees = pair_trees(NAMES, 3)
    assert len(trees) == 3 * 3
    for (depth, one, other), tree in trees.items():
        assert tree.tasks == (one, other)
        assert tree.widths == (1,) * depth + (2,) * (3 - depth)
    pairs = {(one, other) for _, one, other in trees}
    assert pairs == set(combinations(NAMES, 2))


def test_images_are_drawn_by_the_seed():
    one, again, other = (
        measured(["gradient_cosine"], Trainer(), seed=seed, batches=1)[0].estimate.values
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


class Deaf(Network):
    """A task whose second stage says nothing."""

    def trained(self) -> BranchedNetwork:
        network = super().trained()
        if self.tree.tasks == ("b",):
            for weight in network.stages[1].parameters():
                weight.data.zero_()
        return network


@pytest.mark.parametrize("measure", ["rsa", "cka"])
def test_constant_features_are_refused_with_task_and_stage(measure: str):
    def train(trees: Sequence[Tree]) -> list[Network]:
        return [Deaf(tree) for tree in trees]

    with pytest.raises(NotComparable, match="b at stage 1"):
        measured([measure], Trainer(), train=train)


def test_too_few_probe_images_are_refused():
    with pytest.raises(NotComparable, match="task 'a': needs at least 3 probe images, got 2"):
        measured(["rsa"], Trainer(), dataset=dataset(probe=2))


def test_a_loss_that_is_not_finite_is_refused():
    losses = {**dict.fromkeys(NAMES, squared), "b": lambda p, t: squared(p, t) / 0}
    with pytest.raises(NotComparable, match=r"inf|nan|NaN"):
        measured(["tag"], Trainer(), losses=losses)


def test_measures_are_told_apart_from_names():
    assert all(isinstance(found, Measure) for found in find_measures(["rsa", "tag"]).values())
