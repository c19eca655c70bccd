"""Every tree as 2 (T - 1) independent integers, which any black-box optimiser can sample.

The first task takes a path of its own. Every later task t walks along with an earlier one,
``mates[t]``, for the first ``depths[t]`` stages and then leaves on a path of its own. Every choice
of integers in range is a valid tree and every tree can be reached; several choices may name the
same tree.
"""

from collections.abc import Sequence
from operator import eq

from branchsearch.tree import Tree


def decode(tasks: Sequence[str], stages: int, mates: Sequence[int], depths: Sequence[int]) -> Tree:
    """Build the tree that the integers name.

    Args:
        tasks: The T task names.
        stages: S, the number of stages that can be copied.
        mates: Shape [T - 1]; entry t - 1 is in [0, t), the earlier task that t walks along with.
        depths: Shape [T - 1], each in [0, stages]: for how many stages.
    """
    paths = [[(0, stage) for stage in range(stages)]]  # [T, S] of (task that opened it, stage)
    for task, (mate, depth) in enumerate(zip(mates, depths, strict=True), start=1):
        paths.append(paths[mate][:depth] + [(task, stage) for stage in range(depth, stages)])
    return Tree.from_labels(tasks, zip(*paths, strict=True))


def encode(tree: Tree) -> tuple[list[int], list[int]]:
    """Name a tree by one choice of integers: the shortest walk with the earliest best mate."""
    columns = list(zip(*tree.branches, strict=True))  # [T, S]
    mates, depths = [], []
    for task in range(1, len(columns)):
        shared = [sum(map(eq, columns[task], columns[other])) for other in range(task)]
        mates.append(shared.index(max(shared)))
        depths.append(max(shared))
    return mates, depths
