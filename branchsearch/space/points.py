"""Trees with what they cost and how they score: what solvers give."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from branchsearch.space.tables import BranchNumbers, total
from branchsearch.tree import Tree

#: One cost, or several.
Costs: TypeAlias = BranchNumbers | Sequence[BranchNumbers]

#: The most that a tree may cost: one number per cost, None for no bound.
Budget: TypeAlias = float | Sequence[float | None] | None


class Point(NamedTuple):
    """One tree of a front.

    Attributes:
        cost: Its total; a tuple where several costs were asked for.
        score: Its total; lower is better.
        tree: A tree that has them.
    """

    cost: int | float | tuple[int | float, ...]
    score: int | float
    tree: Tree


def point_of(score: Callable[[Tree], int | float], cost: Costs, tree: Tree) -> Point:
    """A tree with its numbers, added up from those given: integers stay integers."""
    if isinstance(cost, Sequence):
        return Point(tuple(total(column, tree) for column in cost), score(tree), tree)
    return Point(total(cost, tree), score(tree), tree)


def columns_of(cost: Costs, budget: Budget) -> tuple[list[BranchNumbers], list[float]]:
    """One column per cost, and what each may come to: ``inf`` where there is no bound.

    Raises:
        ValueError: There is not one budget per cost, or one that is no number.
    """
    columns = list(cost) if isinstance(cost, Sequence) else [cost]
    if budget is None:
        return columns, [math.inf] * len(columns)
    each = budget if isinstance(budget, Sequence | np.ndarray) else [budget]
    if len(each) != len(columns):
        raise ValueError(f"{len(columns)} costs need as many budgets, not {len(each)}")
    return columns, [_most(one) for one in each]


def _most(budget: float | None) -> float:
    if budget is None:
        return math.inf
    if not budget > -math.inf:  # nor is what is not a number
        raise ValueError(f"a budget is a finite number, or None for no bound, not {budget}")
    return budget
