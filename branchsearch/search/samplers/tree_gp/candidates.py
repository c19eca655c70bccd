"""Which trees are considered: all of them, or of too many those that look best."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from heapq import nlargest
from random import Random

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from branchsearch.search.candidate import Candidate, drawn
from branchsearch.search.problem import Problem
from branchsearch.space.neighbours import random_neighbour
from branchsearch.space.solver import k_best
from branchsearch.space.space import EmptySpace, Space
from branchsearch.tree import Tree

#: Spaces up to this size are considered as a whole.
LISTED = 100_000

#: How many are considered otherwise, and in how many generations they are bred.
_BRED, _GENERATIONS, _PARENTS = 1_000, 4, 30

#: The solver joins the breeding up to so many tasks, with so many trees.
_SOLVED, _SOLUTIONS = 8, 10

#: With how many draws of what is tuned beside the tree, and how many trees with each.
_CHOICES, _TREES_EACH = 12, 200

#: From candidates to how much each promises; higher is better.
Promise = Callable[[Sequence[Candidate]], np.ndarray]


@lru_cache(maxsize=8)
def listed(space: Space) -> tuple[Candidate, ...] | None:
    """All trees of a space; None where they are too many."""
    if not space.countable or space.count() > LISTED:
        return None
    return tuple(map(Candidate, space))


def bred(
    problem: Problem, promise: Promise, starts: Sequence[Candidate], random: Random
) -> list[Candidate]:
    """Candidates bred for their promise, without those over the budget; may hold known ones.

    Evolution from what was trained and from chance. Half-way the solver adds the best trees of a
    linear model of what was bred so far, which may lie far from all of it.

    Args:
        problem: Has the trees and the budget.
        promise: Of candidates.
        starts: The best that were trained, best first; may be empty.
        random: For all draws.
    """
    promised: dict[Candidate, float] = {}

    def judge(candidates: Iterable[Candidate]) -> None:
        new = [one for one in dict.fromkeys(candidates) if one not in promised]
        if new:
            promised.update(zip(new, promise(new).tolist(), strict=True))

    judge([*starts, *_random(problem, _BRED // 4, random)])
    for generation in range(_GENERATIONS if promised else 0):
        if generation == _GENERATIONS // 2:
            judge(_solved(problem, promised))
        parents = nlargest(_PARENTS, promised, key=promised.__getitem__)
        children = (_changed(random.choice(parents), problem, random) for _ in range(_BRED // 5))
        judge(child for child in children if child is not None)
    return list(promised)


def _solved(problem: Problem, promised: Mapping[Candidate, float]) -> list[Candidate]:
    """The best trees of a linear model: each pair that shares a stage adds a number of its own."""
    tasks, stages = problem.space.tasks, problem.space.stages
    if len(tasks) > _SOLVED or problem.tuned is not None:
        return []
    branches_NST = np.array([one.tree.branches for one in promised])
    first, second = np.triu_indices(len(tasks), 1)
    together = branches_NST[..., first] == branches_NST[..., second]
    terms = np.column_stack([together.reshape(len(promised), -1), np.ones(len(promised))])
    ridge = np.eye(terms.shape[1])
    weights = np.linalg.solve(terms.T @ terms + ridge, terms.T @ np.array([*promised.values()]))
    by_pair = weights[:-1].reshape(stages, -1)
    pairs = [frozenset((tasks[a], tasks[b])) for a, b in zip(first, second, strict=True)]

    def score(stage: int, branch: frozenset[str]) -> float:
        added = (w for w, pair in zip(by_pair[stage], pairs, strict=True) if pair <= branch)
        return -float(sum(added))

    try:
        points = k_best(score, [], problem.allowed, _SOLUTIONS)
    except EmptySpace:
        return []
    return [Candidate(point.tree) for point in points]


def with_choices(problem: Problem, starts: Sequence[Candidate], random: Random) -> list[Candidate]:
    """Trees with what is tuned beside them: with the choices that did best, and with others.

    Args:
        problem: Something is tuned.
        starts: The best that were trained, best first; may be empty.
        random: For all draws.
    """
    assert problem.tuned is not None
    chosen = dict.fromkeys([start.choices for start in starts[: _CHOICES // 3]])
    chosen |= {problem.tuned.own: None}
    chosen |= dict.fromkeys(problem.tuned.combinations(_CHOICES) or ())
    for _ in range(2 * _CHOICES):  # there may be no more
        if len(chosen) < _CHOICES:
            chosen |= {problem.tuned.drawn(random): None}
    found: dict[Candidate, None] = {}
    for choices in chosen:
        allowed = problem.allowed_with(choices)
        every = listed(allowed)
        if every is not None and len(every) <= _TREES_EACH:
            trees: Sequence[Tree] = [one.tree for one in every]
        else:
            trees = _drawn_trees(allowed, _TREES_EACH, random)
        found |= dict.fromkeys(Candidate(tree, choices) for tree in trees)
    return list(found)


def beside(problem: Problem, candidates: Sequence[Candidate]) -> np.ndarray:
    """What is tuned beside trees as numbers, shape [N, C]: 0 to 1 over a range, one per option."""
    ranges = problem.tuned.ranges if problem.tuned else {}
    columns = [
        column
        for name in sorted(ranges)
        for column in _columns(ranges[name], [dict(one.choices)[name] for one in candidates])
    ]
    return np.array(columns, float).reshape(-1, len(candidates)).T


def _columns(distribution: BaseDistribution, values: Sequence[object]) -> list[list[float]]:
    if isinstance(distribution, CategoricalDistribution):
        half = 0.5**0.5  # so that two options are as far apart as the ends of a range
        return [[half * (value == option) for value in values] for option in distribution.choices]
    low, high = float(distribution.low), float(distribution.high)  # type: ignore[attr-defined]  # of both kinds of numbers
    numbers = np.array(values, float)
    if distribution.log:  # type: ignore[attr-defined]
        low, high, numbers = np.log(low), np.log(high), np.log(numbers)
    scaled: list[float] = ((numbers - low) / max(high - low, 1e-12)).tolist()
    return [scaled]


def _random(problem: Problem, count: int, random: Random) -> list[Candidate]:
    try:
        return [drawn(problem, random) for _ in range(count)]
    except EmptySpace:
        return []


def _drawn_trees(space: Space, count: int, random: Random) -> list[Tree]:
    try:
        return [space.sample(random) for _ in range(count)]
    except EmptySpace:
        return []


def _changed(parent: Candidate, problem: Problem, random: Random) -> Candidate | None:
    """One to three steps away."""
    allowed = problem.allowed_with(parent.choices) if parent.choices else problem.allowed
    tree: Tree | None = parent.tree
    for _ in range(random.randint(1, 3)):
        tree = None if tree is None else random_neighbour(tree, allowed, random)
    return None if tree is None else Candidate(tree, parent.choices)
