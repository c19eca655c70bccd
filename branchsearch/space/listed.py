"""Trees that are given one by one, counted and ranked as those of any other space."""

from collections.abc import Iterable, Iterator

from branchsearch.space.chains import Rows
from branchsearch.tree import Tree


class Listed:
    """The trees of a list, ordered by widths and then by branch numbers: the first shares most.

    Args:
        trees: Each once, in any order.
    """

    def __init__(self, trees: Iterable[Tree]) -> None:
        ordered = sorted(trees, key=lambda tree: (tree.widths, tree.branches))
        self._rows = [tree.branches for tree in ordered]
        self._ranks = {rows: rank for rank, rows in enumerate(self._rows)}

    def trees(self) -> int:
        """How many there are."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Rows]:
        return iter(self._rows)

    def at(self, rank: int) -> Rows:
        """The tree of a rank in [0, trees())."""
        return self._rows[rank]

    def rank(self, rows: Rows) -> int:
        """How many trees come before one of the list."""
        return self._ranks[rows]
