from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchmetrics.regression import MeanSquaredError

from branchsearch.datasets.dataset import Part
from branchsearch.model.branched import BranchedNetwork
from branchsearch.task import Direction, Task
from branchsearch.train.balancing import fixed
from branchsearch.train.fit import Epoch, NotFinite, Recipe, fit, judge
from branchsearch.tree import Tree
from tests.networks import small

TASKS = tuple(Task(name, "depth", "rmse", Direction.MINIMIZE) for name in ("a", "b"))
RECIPE = Recipe(
    epochs=3, batch_size=8, learning_rate=0.02, weight_decay=0.0, warm_up=0.1, averaging=0.5
)
CPU = torch.device("cpu")


def part(count: int, seed: int) -> Part:
    """Images whose brightness is one task's depth, and whose darkness the other's."""
    draw = np.random.default_rng(seed)
    levels = draw.integers(0, 256, (count, 1, 1, 1))
    images = np.broadcast_to(levels, (count, 3, 8, 8)).astype(np.uint8)
    bright = (images[:, :1] / 255).astype(np.float16)
    return Part(images, {"a": bright, "b": 1 - bright})


def prepare(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).float() / 255 - 0.5


def network() -> BranchedNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return small(Tree.parse("a+b > a,b"))


def epochs(
    trained: BranchedNetwork, recipe: Recipe = RECIPE, seed: int = 0, train: Part | None = None
) -> Iterator[Epoch]:
    def absolute(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (predicted - target).abs().mean()

    return fit(
        trained,
        tasks=TASKS,
        train=train or part(64, seed=1),
        validation=part(32, seed=2),
        prepare=prepare,
        losses={"a": absolute, "b": absolute},
        metrics={"a": MeanSquaredError, "b": MeanSquaredError},
        balancing=fixed({"a": 1.0, "b": 1.0}),
        recipe=recipe,
        seed=seed,
        device=CPU,
    )


def judged(trained: BranchedNetwork) -> dict[str, float]:
    return judge(
        trained,
        names=["a", "b"],
        part=part(32, seed=2),
        prepare=prepare,
        metrics={"a": MeanSquaredError, "b": MeanSquaredError},
        device=CPU,
    )


def test_training_learns_every_task():
    before = judged(network())
    *_, last = epochs(network(), replace(RECIPE, epochs=8))
    assert all(last.metrics[task] < before[task] / 4 for task in ("a", "b"))
    assert last.number == 8
    assert all(loss > 0 for loss in last.losses.values())


def test_the_same_seed_gives_the_same_numbers():
    first, twin, other = (list(epochs(network(), seed=seed)) for seed in (5, 5, 6))
    assert [epoch.metrics for epoch in first] == [epoch.metrics for epoch in twin]
    assert [epoch.metrics for epoch in first] != [epoch.metrics for epoch in other]


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_the_network_is_left_with_the_weights_that_were_judged_last(averaging: float):
    trained = network()
    *_, last = epochs(trained, replace(RECIPE, averaging=averaging))
    assert judged(trained) == last.metrics


def test_dropping_the_iterator_stops_the_training():
    trained = network()
    training = epochs(trained)
    next(training)
    after_one = {name: value.clone() for name, value in trained.state_dict().items()}
    training.close()  # type: ignore[attr-defined]
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(value, after_one[name])


def test_what_is_not_finite_is_told_with_its_task_and_step():
    broken = part(64, seed=1)
    infinite = np.where(np.arange(64).reshape(64, 1, 1, 1) < 0, 0, np.inf)
    targets = {**broken.targets, "b": np.broadcast_to(infinite, (64, 1, 8, 8)).astype(np.float16)}
    with pytest.raises(NotFinite, match="task 'b' is inf at step 0"):
        list(epochs(network(), train=Part(broken.images, targets)))
