"""Trees of any space, better ones first, for as long as somebody asks.

From given trees, the best that a solver found, on to their neighbours: the tree of the lowest score
that is known and was not given yet comes next, and its neighbours become known. Merges and splits
lead from any tree to any other, so where no limit stands in the way every tree comes in the end.
"""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice

from branchsearch.space.neighbours import neighbours
from branchsearch.space.space import Space
from branchsearch.space.stagewise import StageScore
from branchsearch.tree import Tree

#: So many neighbours of a tree are looked at; of very many tasks there are far more.
_LOOKED_AT = 1_000

_Place = tuple[float, tuple[int, ...], str]


def best_first(start: Iterable[Tree], score: StageScore, space: Space) -> Iterator[Tree]:
    """Every tree once, lazily.

    A tree comes before all trees of higher scores that were known by then; that no better one comes
    later is certain only if it is among ``start``.

    Args:
        start: Trees of the space, at least one.
        score: Lower is better; among equals, those that share more come first.
        space: Which trees there are.
    """
    known = dict.fromkeys(start)
    heap = [(place(tree, score), tree) for tree in known]
    heapify(heap)
    while heap:
        _, tree = heappop(heap)
        yield tree
        for near in islice(neighbours(tree, space), _LOOKED_AT):
            if near not in known:
                known[near] = None
                heappush(heap, (place(near, score), near))


def place(tree: Tree, score: StageScore) -> _Place:
    """What trees are sorted by; no two have the same."""
    return round(score.of(tree), 12), tree.widths, str(tree)
