"""Sets of tasks as bit masks: task t of the sorted tasks is bit t."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from branchsearch.space.limits import PairLimit


@cache
def with_first(branch: int) -> np.ndarray:
    """The subsets of a set that hold its first task, the largest first, then by mask."""
    first = branch & -branch
    others = branch ^ first
    subsets, left = [branch], others
    while left:
        left = (left - 1) & others
        subsets.append(left | first)
    return np.array(sorted(subsets, key=lambda part: (-part.bit_count(), part)))


def members(tasks: Sequence[str], branch: int) -> frozenset[str]:
    """The tasks of a mask."""
    return frozenset(task for place, task in enumerate(tasks) if branch >> place & 1)


def allowed_branches(tasks: Sequence[str], stages: int, pairs: Sequence[PairLimit]) -> np.ndarray:
    """Where no limit on pairs speaks against a branch, shape [S, 2^T]."""
    branches = np.arange(1 << len(tasks))
    allowed = np.ones((stages, len(branches)), bool)
    for pair in pairs:
        mask = sum(1 << tasks.index(task) for task in pair.tasks)
        both, one = branches & mask == mask, branches & mask != 0
        allowed[: pair.least, one & ~both] = False
        if pair.most is not None:
            allowed[pair.most :, both] = False
    return allowed
