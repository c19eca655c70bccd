"""How many trees there are.

A branch of n tasks with S stages left splits into parts, and each part goes on alone:
c(n, S) = Σ over partitions of the n tasks of Π c(size of a part, S - 1), with c(n, 0) = 1.
Summing over the part that holds the first task leaves one free sum:
c(n, S) = Σ_k C(n - 1, k - 1) c(k, S - 1) c(n - k, S), with c(0, S) = 1.
"""

from functools import cache
from math import comb


@cache
def count_trees(tasks: int, stages: int) -> int:
    """The number of trees of T tasks over S stages, the first of which may be split; exact.

    >>> count_trees(4, 3)
    154
    """
    if tasks < 0 or stages < 0:
        raise ValueError(f"needs no fewer than 0 tasks and stages, got {tasks} and {stages}")
    if tasks == 0 or stages == 0:
        return 1
    return sum(first_part_counts(tasks, stages))


def first_part_counts(tasks: int, stages: int) -> list[int]:
    """How many trees of T tasks over S stages have a first task among k = 1 ... T at stage 0."""
    return [
        comb(tasks - 1, size - 1)
        * count_trees(size, stages - 1)
        * count_trees(tasks - size, stages)
        for size in range(1, tasks + 1)
    ]
