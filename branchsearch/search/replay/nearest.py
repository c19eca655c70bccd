"""The rule that turns any proposal into a tree that can be looked up.

Two trees are as far apart as the number of (stage, pair of tasks) that share in one and not in the
other.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from branchsearch.tree import Tree

#: Bits in one word of a tree's sharings.
_WORD = 64


class Nearest:
    """N trees, laid out so that the nearest of those that are left is found at once.

    Args:
        trees: Over the same tasks and stages.
    """

    def __init__(self, trees: Sequence[Tree]) -> None:
        self._number = {tree: number for number, tree in enumerate(trees)}
        self._words = np.stack([_sharings(tree) for tree in trees])

    def place(self, tree: Tree) -> int:
        """The number of a tree that is among them."""
        return self._number[tree]

    def find(self, tree: Tree, left: np.ndarray, random: np.random.Generator) -> int:
        """The number of the nearest tree that is left; the tree itself where it is.

        Args:
            tree: Any, over the same tasks and stages.
            left: Shape [N]: which trees may be taken, at least one.
            random: Decides between trees that are equally near.
        """
        number = self._number.get(tree)
        if number is not None and left[number]:
            return number
        (numbers,) = left.nonzero()
        differ = self._words[numbers] ^ _sharings(tree)
        distances = np.bitwise_count(differ).sum(axis=1)
        (nearest,) = (distances == distances.min()).nonzero()
        return int(numbers[random.choice(nearest)])


def distance(one: Tree, other: Tree) -> int:
    """How many (stage, pair of tasks) share in one of the two trees alone."""
    return int(np.bitwise_count(_sharings(one) ^ _sharings(other)).sum())


def _sharings(tree: Tree) -> np.ndarray:
    """Whether two tasks share a stage, a bit per stage and pair; shape [words], uint64."""
    bits = [one == other for row in tree.branches for one, other in combinations(row, 2)]
    padded = bits + [False] * (-len(bits) % _WORD or _WORD * (not bits))
    return np.packbits(padded).view(np.uint64)
