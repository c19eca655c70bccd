"""How well a tree agrees with an affinity.

Source: S. Vandenhende et al., "Branched Multi-Task Networks: Deciding What Layers To Share",
BMVC 2020, section 3.2: a branch costs the largest dissimilarity among its tasks, a stage the mean
over its branches, a tree the sum over its stages. Sharing nothing costs 0, so the criterion means
something only among trees under one budget.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from branchsearch.tree import Tree


def dissimilarity(tree: Tree, affinity: np.ndarray) -> float:
    """The paper's cost of a tree: 0 where nothing is shared, higher where unlike tasks share.

    Args:
        tree: Over T tasks and S stages.
        affinity: Shape [S, T, T], symmetric, in [-1, 1]; tasks in the tree's order.

    Raises:
        ValueError: The shapes do not fit.
    """
    tasks = len(tree.tasks)
    if affinity.shape != (len(tree.branches), tasks, tasks):
        raise ValueError(f"an affinity of shape {affinity.shape} does not fit {tree}")
    return sum(_stage(row, 1 - at) for row, at in zip(tree.branches, affinity, strict=True))


def ranked(trees: Iterable[Tree], affinity: np.ndarray) -> list[Tree]:
    """Trees by rising dissimilarity; among equals, those that share more come first."""
    return sorted(trees, key=lambda t: (round(dissimilarity(t, affinity), 12), t.widths, str(t)))


def _stage(row: Sequence[int], unlike: np.ndarray) -> float:
    width = len(set(row))
    worst = [0.0] * width
    for one, other in combinations(range(len(row)), 2):
        if row[one] == row[other]:
            worst[row[one]] = max(worst[row[one]], float(unlike[one, other]))
    return sum(worst) / width
