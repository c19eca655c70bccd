"""Numbers per stage and branch, the form that scores and costs have for the solver."""

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from branchsearch.space.space import Space
from branchsearch.space.subsets import members
from branchsearch.tree import Tree

#: One stage's copy of one branch: the stage's number from 0, and the tasks that share it.
Branch: TypeAlias = tuple[int, frozenset[str]]

#: What each branch adds to a tree's total; a tree's number is the sum over its branches.
BranchNumbers: TypeAlias = (
    Mapping[Branch, int | float] | Callable[[int, frozenset[str]], int | float]
)


def number_of(numbers: BranchNumbers, stage: int, branch: frozenset[str]) -> int | float:
    """What one branch adds.

    Raises:
        ValueError: It is not given, not a number, or -inf.
    """
    if callable(numbers):
        number = numbers(stage, branch)
    else:
        try:
            number = numbers[stage, branch]
        except KeyError:
            raise ValueError(f"no number is given for {_named(stage, branch)}") from None
    if number != number:  # the one number that differs from itself is none
        raise ValueError(f"{_named(stage, branch)} is not a number")
    if number == -math.inf:
        raise ValueError(f"{_named(stage, branch)} is -inf, and no tree could be better")
    return number


def _named(stage: int, branch: frozenset[str]) -> str:
    return f"branch {'+'.join(sorted(branch))} at stage {stage}"


def total(numbers: BranchNumbers, tree: Tree) -> int | float:
    """What the branches of a tree add up to."""
    return sum(
        number_of(numbers, stage, frozenset(tasks))
        for stage in range(len(tree.branches))
        for tasks in tree.members(stage)
    )


def dense(numbers: BranchNumbers, space: Space) -> np.ndarray:
    """All numbers as an array of shape [S, 2^T], float64; that of the empty branch is 0."""
    branches = [members(space.tasks, mask) for mask in range(1, 1 << len(space.tasks))]
    table = np.zeros((space.stages, len(branches) + 1))
    for stage in range(space.stages):
        table[stage, 1:] = [number_of(numbers, stage, branch) for branch in branches]
    return table
