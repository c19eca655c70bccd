"""A training of two tasks that takes tenths of a second, for tests of its parts."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from branchsearch.datasets.dataset import Label, Part
from branchsearch.datasets.loading import Batch, load
from branchsearch.model.branched import BranchedNetwork
from branchsearch.task import Direction, Task
from branchsearch.train.balancing.fixed import fixed
from branchsearch.train.fit import Epoch, fit
from branchsearch.train.judging import judge
from branchsearch.train.losses import absolute_error
from branchsearch.train.metrics.numbers import rmse
from branchsearch.train.recipe import Recipe
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


def prepare(images: torch.Tensor) -> torch.Tensor:
    return images.float() / 255 - 0.5


def loaded(part: Part, positions: Sequence[np.ndarray], _: int | None) -> Iterator[Batch]:
    labels = {name: Label("depth") for name in part.targets}
    return load(part, positions, labels=labels, prepare=prepare, device=CPU)


def network(tree: str = "a+b > a,b") -> BranchedNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return small(Tree.parse(tree))


def epochs(
    trained: BranchedNetwork,
    recipe: Recipe = RECIPE,
    *,
    seed: int = 0,
    train: Part | None = None,
    **others: Any,  # noqa: ANN401  # arguments of fit
) -> Iterator[Epoch]:
    given: Mapping[str, Any] = {
        "load": loaded,
        "losses": {"a": absolute_error, "b": absolute_error},
        "balancing": fixed({"a": 1.0, "b": 1.0}),
        **others,
    }
    return fit(
        trained,
        tasks=TASKS,
        train=train or part(64, seed=1),
        validation=part(32, seed=2),
        metrics={task.name: partial(rmse, task) for task in TASKS},
        recipe=recipe,
        seed=seed,
        device=CPU,
        **given,
    )


def judged(trained: BranchedNetwork, at_once: int = RECIPE.batch_size) -> dict[str, float]:
    return judge(
        trained,
        names=["a", "b"],
        part=part(32, seed=2),
        load=loaded,
        metrics={task.name: partial(rmse, task) for task in TASKS},
        device=CPU,
        at_once=at_once,
    )


def same_weights(one: BranchedNetwork, other: BranchedNetwork) -> bool:
    """Whether all weights and buffers are equal to the last bit."""
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())
