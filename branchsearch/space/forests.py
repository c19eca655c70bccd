"""Trees whose pairs of tasks are limited: listed, counted, ranked and found by rank.

They are counted by subsets of tasks, see ``branchsearch.space.ways``. Ordered by the widths that
limits concern, then by the part of the first task, the largest first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from branchsearch.space.chains import Rows
from branchsearch.space.limits import Limits
from branchsearch.space.ways import Polynomial, Ways

#: So many tasks are counted exactly.
MOST_TASKS = 12

#: The branches of each stage from some stage on, as bit masks of tasks, by first task.
_Forest = list[list[int]]


@dataclass(frozen=True)
class Forests:
    """Every tree of at most ``MOST_TASKS`` tasks that the limits allow.

    Attributes:
        tasks: The T task names, sorted.
        may_split: Shape [S]: where branches may part.
        limits: All of them are looked at.

    Raises:
        CannotCount: See ``branchsearch.space.ways.Ways``, when something is asked for.
    """

    tasks: tuple[str, ...]
    may_split: tuple[bool, ...]
    limits: Limits

    def trees(self) -> int:
        """How many there are, exact."""
        return int(self._whole[1].sum())

    def __iter__(self) -> Iterator[Rows]:
        """Every tree, lazily."""
        for code in self._whole[0].tolist():
            for forest in self._forests(0, self._ways.everybody, code):
                yield self._rows(forest)

    def at(self, rank: int) -> Rows:
        """The tree of a rank in [0, trees())."""
        for code, trees in _terms(self._whole):
            if rank < trees:
                return self._rows(self._forest_at(0, self._ways.everybody, code, rank))
            rank -= trees
        raise IndexError(rank)

    def rank(self, rows: Rows) -> int:
        """How many trees come before an allowed one."""
        forest = [_masks(row) for row in rows]
        whole = self._code(forest, 0, self._ways.everybody)
        earlier = sum(trees for code, trees in _terms(self._whole) if code < whole)
        return earlier + self._rank(forest, 0, self._ways.everybody)

    @cached_property
    def _ways(self) -> Ways:
        return Ways(self.tasks, self.may_split, self.limits)

    @cached_property
    def _whole(self) -> Polynomial:
        return self._ways.whole()

    def _choices(
        self, stage: int, branch: int, code: int
    ) -> Iterator[tuple[int, int, int, int, int]]:
        """The ways to split off a part when the widths are given, in order.

        Yields the part, the packed widths below it and beside it, and how many ways each has.
        """
        for part in self._ways.parts(stage, branch).tolist():
            beside = dict(_terms(self._ways.of(stage, branch & ~part)))
            for below_code, below_ways in _terms(self._ways.of(stage + 1, part)):
                beside_code = code - self._ways.unit(stage) - below_code
                if beside_code in beside:
                    yield part, below_code, beside_code, below_ways, beside[beside_code]

    def _forests(self, stage: int, branch: int, code: int) -> Iterator[_Forest]:
        if not branch or stage == self._ways.stages:
            yield [[] for _ in range(stage, self._ways.stages)]
            return
        for part, below_code, beside_code, _, _ in self._choices(stage, branch, code):
            for below in self._forests(stage + 1, part, below_code):
                for beside in self._forests(stage, branch & ~part, beside_code):
                    yield _beside(part, below, beside)

    def _forest_at(self, stage: int, branch: int, code: int, rank: int) -> _Forest:
        if not branch or stage == self._ways.stages:
            return [[] for _ in range(stage, self._ways.stages)]
        for part, below_code, beside_code, below, beside in self._choices(stage, branch, code):
            if rank < below * beside:
                return _beside(
                    part,
                    self._forest_at(stage + 1, part, below_code, rank // beside),
                    self._forest_at(stage, branch & ~part, beside_code, rank % beside),
                )
            rank -= below * beside
        raise IndexError(rank)

    def _rank(self, forest: _Forest, stage: int, branch: int) -> int:
        if not branch or stage == self._ways.stages:
            return 0
        first = branch & -branch
        (taken,) = (part for part in forest[stage] if part & first)
        taken_code = self._code(forest, stage + 1, taken)
        rank = 0
        for part, code, _, below, beside in self._choices(
            stage, branch, self._code(forest, stage, branch)
        ):
            if (part, code) == (taken, taken_code):
                break
            rank += below * beside
        inside = self._rank(forest, stage + 1, taken)
        return rank + inside * beside + self._rank(forest, stage, branch & ~taken)

    def _code(self, forest: _Forest, stage: int, branch: int) -> int:
        """The packed widths of what becomes of a branch's tasks from a stage on."""
        return sum(
            self._ways.unit(below) * sum(bool(part & branch) for part in forest[below])
            for below in range(stage, self._ways.stages)
        )

    def _rows(self, forest: _Forest) -> Rows:
        rows = []
        for parts in forest:
            in_order = sorted(parts, key=lambda part: part & -part)
            rows.append(
                tuple(
                    next(number for number, part in enumerate(in_order) if part >> task & 1)
                    for task in range(len(self.tasks))
                )
            )
        return tuple(rows)


def _terms(polynomial: Polynomial) -> Iterator[tuple[int, int]]:
    return zip(polynomial[0].tolist(), polynomial[1].tolist(), strict=True)


def _beside(part: int, below: _Forest, beside: _Forest) -> _Forest:
    """Put a part, with what becomes of it, beside what becomes of the other tasks."""
    return [[part, *beside[0]], *(a + b for a, b in zip(below, beside[1:], strict=True))]


def _masks(row: Sequence[int]) -> list[int]:
    masks = [0] * (max(row) + 1)
    for task, branch in enumerate(row):
        masks[branch] |= 1 << task
    return masks
