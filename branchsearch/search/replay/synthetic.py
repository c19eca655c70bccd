"""Trees whose scores are made up, on demand: search spaces of any size to try samplers on.

At each stage a task gains from the tasks that share the stage with it as much as it has in common
with them on average, and loses as they become more. What tasks have in common is planted: alike
near the input, by their nature near the heads. The average makes a task's gain from another depend
on who else is there, so that no sum over pairs tells all.

Shape letters: S = stages, T = tasks.
"""

from dataclasses import dataclass

import numpy as np

from branchsearch.search.problem import Problem
from branchsearch.search.replay.simulate import walk
from branchsearch.search.replay.study import Found
from branchsearch.search.replay.table import Table
from branchsearch.space.cost import Cost, CostTable
from branchsearch.space.space import Space
from branchsearch.tree import Tree

#: Percent that the closest companions are worth over all stages, and that each doubling of the
#: tasks in a branch takes.
_WORTH, _CROWDING = 6.0, 1.5

#: What a cost has to do with time: this part of a training's seconds does not grow with it.
_FIXED = 0.3


@dataclass(frozen=True, eq=False)
class Synthetic:
    """A made-up search space.

    Attributes:
        problem: Its trees and costs, and an affinity that is the planted one with errors.
        alike: Shape [S, T, T], in [-1, 1]: what tasks have in common, as planted.
        worth: Shape [S]: percent that the closest companions are worth at a stage.
        crowding: Shape [S]: percent that each doubling of the tasks in a branch takes.
        noise: Shape [T]: standard deviation of a task's gain between trainings, percent.
        seconds: How long the cheapest tree trains on average.
    """

    problem: Problem
    alike: np.ndarray
    worth: np.ndarray
    crowding: np.ndarray
    noise: np.ndarray
    seconds: float

    def gains(self, tree: Tree) -> np.ndarray:
        """Each task's gain in percent, free of noise, shape [T]."""
        rows_ST = np.array(tree.branches)
        others_STT = (rows_ST[:, :, None] == rows_ST[:, None, :]) & ~np.eye(
            rows_ST.shape[1], dtype=bool
        )
        number_ST = others_STT.sum(axis=2)
        mean_ST = (self.alike * others_STT).sum(axis=2) / np.maximum(number_ST, 1)
        gained_ST = self.worth[:, None] * mean_ST - self.crowding[:, None] * np.log2(1 + number_ST)
        return np.asarray(gained_ST.sum(axis=0))

    def quality(self, tree: Tree) -> float:
        """The mean gain, free of noise."""
        return float(self.gains(tree).mean())

    def train(self, tree: Tree, random: np.random.Generator) -> tuple[Found, float]:
        """Gains with noise; a tree that costs more takes longer, give or take a tenth."""
        gains = self.gains(tree) + self.noise * random.normal(size=len(self.noise))
        cost = self.problem.cost(tree)
        cheapest = self.problem.cost(Tree.share_all(tree.tasks, len(tree.branches)))
        larger = cost.multiply_adds / cheapest.multiply_adds
        seconds = self.seconds * (_FIXED + (1 - _FIXED) * larger) * random.lognormal(sigma=0.1)
        costs = {"parameters": cost.parameters, "multiply_adds": cost.multiply_adds}
        return Found(dict(zip(tree.tasks, gains.tolist(), strict=True)), costs), float(seconds)

    def untried(self, tree: Tree, tried: set[Tree], random: np.random.Generator) -> Tree:
        """A few random steps away."""
        return walk(tree, tried, self.problem, random)


def plant(
    tasks: int, stages: int, *, seed: int, noise: float = 0.5, seconds: float = 60.0
) -> Synthetic:
    """Make up a search space.

    Args:
        tasks: T.
        stages: S.
        seed: Of what is planted.
        noise: Standard deviation of a task's gain between trainings, percent, on average.
        seconds: How long the tree that shares all trains on average.
    """
    random = np.random.default_rng(seed)
    depth = (np.arange(stages) + 1) / stages
    nature = random.normal(size=(tasks, 3))
    nature /= np.linalg.norm(nature, axis=1, keepdims=True)
    alike = (1 - depth)[:, None, None] * 0.8 + depth[:, None, None] * (nature @ nature.T)
    measured = np.clip(alike + _symmetric(random.normal(size=alike.shape, scale=0.3)), -1, 1)
    measured[:, np.arange(tasks), np.arange(tasks)] = 1.0
    weights = random.dirichlet(np.full(stages, 3.0))
    space = Space.of([f"t{number:02}" for number in range(tasks)], stages)
    stage_costs = tuple(Cost(10_000 * 4**s, 1_000_000) for s in range(stages))
    head = Cost(1_000, 100_000)
    return Synthetic(
        problem=Problem(
            space, CostTable(stage_costs, dict.fromkeys(space.tasks, head)), {}, measured
        ),
        alike=alike,
        worth=_WORTH * weights,
        crowding=_CROWDING * weights,
        noise=noise * random.uniform(0.5, 1.5, size=tasks),
        seconds=seconds,
    )


def table_of(synthetic: Synthetic, *, seeds: int, seed: int) -> Table:
    """Train every tree of a small space with several seeds.

    Args:
        synthetic: Of at most some thousand trees.
        seeds: Rows per tree.
        seed: Of the noise.
    """
    random = np.random.default_rng(seed)
    trees = tuple(synthetic.problem.allowed)
    trained = [synthetic.train(tree, random) for tree in trees for _ in range(seeds)]
    return Table(
        trees=trees,
        rows=tuple(tuple(range(n * seeds, (n + 1) * seeds)) for n in range(len(trees))),
        scores=np.array([list(found.gains.values()) for found, _ in trained]),
        costs={
            name: np.array([getattr(synthetic.problem.cost(tree), name) for tree in trees], float)
            for name in ("parameters", "multiply_adds")
        },
        curves=np.empty((len(trained), 0)),
        seconds=np.array([seconds for _, seconds in trained]),
    )


def _symmetric(values: np.ndarray) -> np.ndarray:
    both: np.ndarray = (values + values.swapaxes(1, 2)) / np.sqrt(2)
    return both
