"""The best trees for every budget, exactly, where scores and costs add up over branches.

So do parameters and multiply-adds, affinities summed over the tasks of a branch, two-task estimates
and linear surrogates. How it is done: ``branchsearch.space.program``.
"""

from collections.abc import Sequence
from functools import partial
from itertools import compress

import numpy as np

from branchsearch.space.fronts import foremost
from branchsearch.space.points import Budget, Costs, Point, columns_of, point_of
from branchsearch.space.program import Program
from branchsearch.space.space import EmptySpace, Space
from branchsearch.space.tables import BranchNumbers, total
from branchsearch.tree import Tree

#: So many points in front of another are looked at where rounding decides who is in a budget.
_MOST_KEPT = 64


def pareto_front(
    score: BranchNumbers,
    cost: Costs,
    space: Space,
    *,
    budget: Budget = None,
) -> list[Point]:
    """Find the best score for every cost, and a tree for each.

    >>> space = Space.of(["a", "b", "c"], stages=1)
    >>> apart = lambda stage, branch: -len(branch & {"a"}) * (len(branch) == 1)
    >>> copies = lambda stage, branch: 1
    >>> [(point.cost, point.score, str(point.tree)) for point in pareto_front(apart, copies, space)]
    [(1, 0, 'a+b+c'), (2, -1, 'a,b+c')]

    Args:
        score: What each branch adds; lower is better (negate gains). ``inf`` forbids a branch.
        cost: What each branch costs; or several such columns.
        space: The trees, at most of ``branchsearch.space.program.MOST_TASKS`` tasks.
        budget: The most that a tree may cost; one number per column, None for no bound.

    Returns:
        By rising cost. No tree of the space has a lower score at the same or a lower cost. Empty
        where no tree is within the budget.

    Raises:
        ValueError: Too many tasks, a branch without a number, or budgets that do not fit columns
            or are no numbers.
    """
    columns, most = columns_of(cost, budget)
    found = [
        point_of(partial(total, score), cost, tree)
        for tree in _within(score, columns, most, space, 1)
    ]
    # limits are costs to the program, and to its front; here the asked ones alone decide
    costs = np.array([np.atleast_1d(point.cost) for point in found], float)
    scores = np.array([point.score for point in found], float)
    return [found[at] for at in foremost(costs.reshape(len(found), len(columns)), scores, 1)]


def best(
    score: BranchNumbers,
    cost: Costs,
    space: Space,
    *,
    budget: Budget = None,
) -> Point:
    """Find the tree of the lowest score within a budget, among equals the cheapest.

    Raises:
        EmptySpace: No tree is within the budget.
        ValueError: As ``pareto_front``.
    """
    front = pareto_front(score, cost, space, budget=budget)
    if not front:
        raise EmptySpace(f"no tree is within the budget of {budget}")
    return min(front, key=lambda point: (point.score, point.cost))


def k_best(
    score: BranchNumbers,
    cost: Costs,
    space: Space,
    k: int,
    *,
    budget: Budget = None,
) -> list[Point]:
    """Find the k trees of the lowest scores within a budget, best first; all where there are fewer.

    Which of equal scores are found is not said: costs matter for the budget alone. With a budget it
    takes k fronts for one, and much longer than ``pareto_front`` for a large k.

    Raises:
        EmptySpace: No tree is within the budget.
        ValueError: As ``pareto_front``; or k is below 1.
    """
    if k < 1:
        raise ValueError(f"k is how many trees are asked for, at least 1, not {k}")
    columns, most = columns_of(cost, budget)
    bounded = np.isfinite(most)  # other costs do not matter, and no front over them is needed
    trees = _within(
        score, list(compress(columns, bounded)), list(compress(most, bounded)), space, k
    )
    found = [point_of(partial(total, score), cost, tree) for tree in trees]
    if not found:
        raise EmptySpace(f"no tree is within the budget of {budget}")
    return sorted(found, key=lambda point: (point.score, point.cost, str(point.tree)))[:k]


def _within(
    score: BranchNumbers,
    columns: Sequence[BranchNumbers],
    most: Sequence[float],
    space: Space,
    k: int,
) -> list[Tree]:
    """Trees whose totals keep to their bounds; any other such tree has k of these in front of it.

    Whoever is dropped has as many trees in front as are kept, and of them only those count that
    keep to the bounds. Where too few may do, since sums of floats are rounded, more are kept.
    """
    keep = k
    while True:
        trees = Program(score, columns, most, space, keep=keep).trees()
        within = [
            tree
            for tree in trees
            if all(total(cost, tree) <= bound for cost, bound in zip(columns, most, strict=True))
        ]
        above = len(trees) - len(within)
        if above <= keep - k or keep - k >= _MOST_KEPT:
            return within
        keep = k + min(above, _MOST_KEPT)
