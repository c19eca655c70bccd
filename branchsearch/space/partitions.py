"""Ways to put n things into exactly k parts, in a fixed order, with their ranks.

A partition is written as the part of each thing, parts numbered in order of first appearance:
(0, 1, 0) puts the first and the third together. That order of rows is lexicographic.

Source: D. Knuth, "The Art of Computer Programming", volume 4A, section 7.2.1.5.
"""

from collections.abc import Iterator
from functools import cache

#: One row per partition: the part of each of n things, shape [n].
Parts = tuple[int, ...]

#: Lists up to this length are kept, since the same ones are asked for again and again.
_KEPT = 10_000


def count_partitions(things: int, parts: int) -> int:
    """Stirling's number of the second kind, exact.

    >>> count_partitions(4, 2)
    7
    """
    return _completions(things, 0, parts)


def partitions(things: int, parts: int) -> Iterator[Parts]:
    """Every partition of n things into exactly k parts, lazily, in lexicographic order."""
    if count_partitions(things, parts) <= _KEPT:
        yield from _listed(things, parts)
    else:
        yield from _rows((), 0, things, parts)


def rank_of(row: Parts) -> int:
    """How many partitions into as many parts come before this one."""
    parts = max(row, default=-1) + 1
    rank = used = 0
    for place, part in enumerate(row):
        rank += part * _completions(len(row) - place - 1, used, parts)
        used = max(used, part + 1)
    return rank


def partition_at(rank: int, things: int, parts: int) -> Parts:
    """Undo ``rank_of``; ``rank`` is in [0, count_partitions(things, parts))."""
    row: list[int] = []
    used = 0
    for left in range(things - 1, -1, -1):
        each = _completions(left, used, parts)  # rows that go on with a given part in use
        part = min(rank // each, used) if each else used
        rank -= part * each
        row.append(part)
        used = max(used, part + 1)
    return tuple(row)


@cache
def _completions(left: int, used: int, parts: int) -> int:
    """How many ways to place the things left, when that many parts are in use already."""
    if used > parts or parts - used > left:
        return 0
    if not left:
        return 1
    return used * _completions(left - 1, used, parts) + _completions(left - 1, used + 1, parts)


@cache
def _listed(things: int, parts: int) -> tuple[Parts, ...]:
    return tuple(_rows((), 0, things, parts))


def _rows(row: Parts, used: int, things: int, parts: int) -> Iterator[Parts]:
    if len(row) == things:
        yield row
        return
    for part in range(used + 1):
        now = max(used, part + 1)
        if _completions(things - len(row) - 1, now, parts):
            yield from _rows((*row, part), now, things, parts)
