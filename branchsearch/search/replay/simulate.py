"""A search with many workers, in simulated time: a sampler is judged as a cluster would use it.

Each worker trains one tree at a time and asks for the next as soon as it is done. Trees in training
stand in the study as RUNNING trials, as they do in a job. Proposals take no simulated time; what
they take on the clock is measured.

Shape letters: N = trials.
"""

import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

import numpy as np
from optuna.trial import Trial

from branchsearch.search.problem import Problem
from branchsearch.search.replay.nearest import Nearest
from branchsearch.search.replay.study import Found, MakeSampler, Search
from branchsearch.search.replay.table import CannotReplay, Table
from branchsearch.space.neighbours import random_neighbour
from branchsearch.tree import Tree


class Trainings(Protocol):
    """Trees whose training has an outcome that is known, or made up."""

    @property
    def problem(self) -> Problem:
        """Which trees there are."""
        ...

    def quality(self, tree: Tree) -> float:
        """What a tree is worth, free of noise."""
        ...

    def train(self, tree: Tree, random: np.random.Generator) -> tuple[Found, float]:
        """What comes out of one training, and how many seconds it takes."""
        ...

    def untried(self, tree: Tree, tried: set[Tree], random: np.random.Generator) -> Tree:
        """An allowed tree that is not tried, as near to a proposal as can be found."""
        ...


class TableTrainings:
    """The trainings of a table.

    Args:
        table: Of the trees that may be trained.
        problem: The same trees.
        seconds: How long every training takes; None for as long as the table says.

    Raises:
        CannotReplay: Neither says how long.
    """

    def __init__(self, table: Table, problem: Problem, seconds: float | None = None) -> None:
        if seconds is None and table.seconds is None:
            raise CannotReplay("the table has no column 'seconds'; say how long a training takes")
        self._table, self._problem = table, problem
        self._nearest = Nearest(table.trees)
        self._seconds = table.seconds if seconds is None else np.full(len(table.scores), seconds)

    @property
    def problem(self) -> Problem:
        """Which trees there are."""
        return self._problem

    def quality(self, tree: Tree) -> float:
        """The mean over a tree's rows."""
        return float(self._table.quality[self._nearest.place(tree)])

    def train(self, tree: Tree, random: np.random.Generator) -> tuple[Found, float]:
        """One of a tree's rows."""
        number = self._nearest.place(tree)
        row = random.choice(self._table.rows[number])
        assert self._seconds is not None  # see __init__
        return self._table.found(number, int(row)), float(self._seconds[row])

    def untried(self, tree: Tree, tried: set[Tree], random: np.random.Generator) -> Tree:
        """The nearest, see ``branchsearch.search.replay.nearest``."""
        left = np.array([other not in tried for other in self._table.trees])
        return self._table.trees[self._nearest.find(tree, left, random)]


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """How a simulated search went; every array is ordered by the time at which trials ended.

    Attributes:
        ended: Shape [N]: simulated seconds after which each trial ended.
        best: Shape [N]: the quality, free of noise, of the tree seen to be best by then.
        busy: The part of the workers' time in which they trained, in [0, 1].
        proposals: Shape [N]: seconds on the clock that each proposal took, in order of asking.
    """

    ended: np.ndarray
    best: np.ndarray
    busy: float
    proposals: np.ndarray


def simulate(
    trainings: Trainings, sampler: MakeSampler, *, trials: int, workers: int, seed: int
) -> Simulated:
    """Search with many workers.

    Args:
        trainings: What comes out of each tree.
        sampler: Makes the sampler of a seed; called anew for every proposal.
        trials: Trees to train, N.
        workers: That train side by side, each one tree at a time.
        seed: Of every random draw.

    Raises:
        CannotReplay: There are fewer trees than trials.
    """
    allowed = trainings.problem.allowed
    if allowed.countable and allowed.count() < trials:
        raise CannotReplay(
            f"{trials} trials are asked for, and there are {allowed.count()} allowed trees"
        )
    tried: set[Tree] = set()

    def settle(tree: Tree, random: np.random.Generator) -> Tree:
        if tree not in tried and tree in allowed:
            return tree
        return trainings.untried(tree, tried, random)

    search = Search(trainings.problem.space, sampler, settle, seed=(seed, 0))
    random = np.random.default_rng((seed, 1))
    running: list[tuple[float, int, Trial, Tree, Found]] = []  # by the time at which they end
    proposals: list[float] = []
    ends: list[tuple[float, float, float]] = []  # when, what was seen, what the tree is worth
    trained = 0.0

    def begin(now: float) -> None:
        nonlocal trained
        began = time.perf_counter()
        trial, tree = search.ask()
        proposals.append(time.perf_counter() - began)
        tried.add(tree)
        found, seconds = trainings.train(tree, random)
        trained += seconds
        heapq.heappush(running, (now + seconds, len(proposals), trial, tree, found))

    for _ in range(min(workers, trials)):
        begin(0.0)
    while running:
        now, _, trial, tree, found = heapq.heappop(running)
        search.tell(trial, tree, found)
        ends.append((now, found.delta, trainings.quality(tree)))
        if len(proposals) < trials:
            begin(now)
    ended, seen, worth = np.array(ends).T
    return Simulated(
        ended=ended,
        best=worth[_leaders(seen)],
        busy=trained / (min(workers, trials) * float(ended[-1])),
        proposals=np.array(proposals),
    )


def _leaders(seen: np.ndarray) -> Sequence[int]:
    """The place of the highest value so far, for each place; shape [N]."""
    best, leaders = 0, []
    for place, value in enumerate(seen):
        best = place if value > seen[best] else best
        leaders.append(best)
    return leaders


def walk(tree: Tree, tried: set[Tree], problem: Problem, random: np.random.Generator) -> Tree:
    """An allowed tree that is not tried, by random steps from a proposal; for spaces of any size.

    Steps that lead to what is tried lead on from there. A proposal over the budget is first
    replaced by a random tree.
    """
    steps = Random(int(random.integers(2**63)))
    allowed = problem.allowed
    found = tree if tree in allowed else allowed.sample(steps)
    while found in tried:
        found = random_neighbour(found, allowed, steps) or allowed.sample(steps)
    return found
