"""Trees as chains of partitions: listed, counted, ranked and found by rank.

Ordered by their widths, see ``branchsearch.space.widths``, and among trees of the same widths by
the partition at the last stage, then by the one above it, and so on. The first tree shares most,
the last one least.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from branchsearch.space.partitions import (
    Parts,
    count_partitions,
    partition_at,
    partitions,
    rank_of,
)
from branchsearch.space.widths import WidthSequences

#: One row of branch numbers per stage, input side first, shape [S, T].
Rows = tuple[Parts, ...]


@dataclass(frozen=True)
class Chains:
    """Every tree whose widths are allowed.

    Attributes:
        widths: The sequences of widths that are.
    """

    widths: WidthSequences

    def trees(self) -> int:
        """How many there are."""
        return self.widths.trees()

    def __iter__(self) -> Iterator[Rows]:
        """Every tree, lazily."""
        for widths in self.widths:
            for last in partitions(self.widths.tasks, widths[-1]):
                yield from _upwards((last,), widths[:-1])

    def at(self, rank: int) -> Rows:
        """The tree of a rank in [0, trees())."""
        widths, rank = self.widths.at(rank)
        sizes = (*widths, self.widths.tasks)
        chain = []
        for stage, width in enumerate(widths):  # the last stage's partition counts most
            rank, digit = divmod(rank, count_partitions(sizes[stage + 1], width))
            chain.append(partition_at(digit, sizes[stage + 1], width))
        rows = [chain[-1]]
        for parts in reversed(chain[:-1]):
            rows.insert(0, _joined(parts, rows[0]))
        return tuple(rows)

    def rank(self, rows: Rows) -> int:
        """How many trees come before an allowed one."""
        widths = tuple(max(row) + 1 for row in rows)
        rank = rank_of(rows[-1])
        for stage in range(len(rows) - 2, -1, -1):
            joins = dict(zip(rows[stage + 1], rows[stage], strict=True))
            parts = tuple(joins[branch] for branch in range(widths[stage + 1]))
            rank = rank * count_partitions(widths[stage + 1], widths[stage]) + rank_of(parts)
        return self.widths.before(widths) + rank


def _upwards(rows: Rows, widths: tuple[int, ...]) -> Iterator[Rows]:
    """Every way to join the branches of the topmost row, stage by stage up to the input."""
    if not widths:
        yield rows
        return
    for parts in partitions(max(rows[0]) + 1, widths[-1]):
        yield from _upwards((_joined(parts, rows[0]), *rows), widths[:-1])


def _joined(parts: Parts, row: Parts) -> Parts:
    """The row of the stage above, when its branches are these parts of the branches of a row."""
    return tuple([parts[branch] for branch in row])
