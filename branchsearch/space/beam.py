"""Good trees for every budget at any number of tasks, from the last stage up to the input.

Each stage's branches are found from those below by merging two at a time. Of the partitions with
the same number of branches only the most promising go on, over costs and score, so cheap trees are
not crowded out by good ones. Works for scores of stages that do not add up over branches, too.

Source: S. Vandenhende et al., "Branched Multi-Task Networks: Deciding What Layers To Share",
BMVC 2020, section 3.3, searches in the same direction, with groupings by spectral clustering.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations
from operator import add
from typing import NamedTuple

import numpy as np

from branchsearch.space.fronts import foremost
from branchsearch.space.points import Point, columns_of, point_of
from branchsearch.space.space import Space
from branchsearch.space.stagewise import StageScore, additive
from branchsearch.space.subsets import members
from branchsearch.space.tables import BranchNumbers, number_of
from branchsearch.tree import Tree


def beam(
    score: BranchNumbers | StageScore,
    cost: BranchNumbers | Sequence[BranchNumbers],
    space: Space,
    *,
    budget: float | Sequence[float] | None = None,
    width: int = 8,
) -> list[Point]:
    """Search for the best score for every cost, and a tree for each.

    >>> space = Space.of(["a", "b", "c"], stages=1)
    >>> apart = lambda stage, branch: -len(branch & {"a"}) * (len(branch) == 1)
    >>> found = beam(apart, lambda stage, branch: 1, space)
    >>> [(point.cost, point.score, str(point.tree)) for point in found]
    [(1, 0, 'a+b+c'), (2, -1, 'a,b+c')]

    Args:
        score: What each branch adds, or a score of stages; lower is better, ``inf`` forbids.
        cost: What each branch costs; or several such columns.
        space: The trees, of any number of tasks.
        budget: The most that a tree may cost; one number per column.
        width: How many partitions of the same number of branches go on.

    Returns:
        By rising cost, with falling scores among those found; nothing says that there are no
        better ones.

    Raises:
        ValueError: A branch without a number, or budgets that do not fit the columns.
    """
    stagewise = score if isinstance(score, StageScore) else additive(score)
    columns, most = columns_of(cost, budget)
    found = [end for end in _Search(stagewise, columns, space, width).ends() if end.tree in space]
    costs = np.array([end.costs for end in found]).reshape(len(found), len(columns))
    scores = np.array([end.score for end in found])
    fits = np.flatnonzero((costs <= np.array(most)).all(axis=1))
    front = fits[foremost(costs[fits], scores[fits], 1)]
    return [point_of(stagewise.of, cost, found[place].tree) for place in front]


@dataclass(frozen=True, slots=True)
class _Below:
    """Stages that are settled, from some stage on.

    Attributes:
        score: Of these stages.
        costs: Of these stages.
        rows: Their branches as masks, input side first.
    """

    score: float
    costs: tuple[float, ...]
    rows: tuple[tuple[int, ...], ...]


class _Partition(NamedTuple):  # hundreds of thousands are made, and a tuple is made fast
    """The branches of one stage, and the best that may lie below them.

    Attributes:
        parts: The branches, as masks.
        below: In front of each other over costs and score.
    """

    parts: tuple[int, ...]
    below: tuple[_Below, ...]


class _End(NamedTuple):
    """A whole tree, its numbers added up in the order of its branches, as ``total`` does."""

    costs: tuple[float, ...]
    score: float
    tree: Tree


class _Numbers(dict[int, float]):
    """What the branches of one stage count or cost, by mask; each is asked for once."""

    def __init__(self, numbers: BranchNumbers, stage: int, space: Space) -> None:
        super().__init__()
        self._numbers, self._stage, self._tasks = numbers, stage, space.tasks

    def __missing__(self, part: int) -> float:
        branch = members(self._tasks, part)
        self[part] = number = float(number_of(self._numbers, self._stage, branch))
        return number

    def of(self, parts: Iterable[int]) -> Iterator[float]:
        return map(self.__getitem__, parts)


class _Search:
    def __init__(
        self, score: StageScore, columns: Sequence[BranchNumbers], space: Space, width: int
    ) -> None:
        self._score, self._columns, self._space, self._width = score, columns, space, width
        self._numbers = [_Numbers(score.branch, stage, space) for stage in range(space.stages)]
        self._prices = [
            [_Numbers(column, stage, space) for column in columns] for stage in range(space.stages)
        ]
        self._labels = cache(self._labels_of)  # many trees have the same branches at a stage
        pairs = [(_mask(space.tasks, pair.tasks), pair) for pair in space.limits.pairs]
        self._apart = [(mask, pair.most) for mask, pair in pairs if pair.most is not None]
        self._together = [(mask, pair.least) for mask, pair in pairs]

    def ends(self) -> list[_End]:
        """Every tree that came up to the input."""
        settled = [_Below(0.0, (0.0,) * len(self._columns), ())]
        heads = tuple(1 << task for task in range(len(self._space.tasks)))
        found = [(heads, settled)]
        for stage in range(self._space.stages - 1, -1, -1):
            found = self._stage(stage, found)
        return [self._end(each.rows) for _, below in found for each in below]

    def _stage(
        self, stage: int, found: list[tuple[tuple[int, ...], list[_Below]]]
    ) -> list[tuple[tuple[int, ...], list[_Below]]]:
        """From branches of the stage below, with what lies below them, to those of a stage."""
        last = stage + 1 == self._space.stages
        may_join = last or self._space.may_split[stage + 1]
        waiting: dict[int, dict[frozenset[int], _Partition]] = {}
        for parts, below in found:
            _add(waiting, self._begun(stage, parts, tuple(below)), self._foremost)
        settled = []
        for many in range(len(self._space.tasks), 0, -1):
            for each in self._promising(stage, list(waiting.pop(many, {}).values())):
                settled += self._settled(stage, each)
                for one, other in combinations(range(many), 2) if may_join else ():
                    joined = self._joined(stage, each, one, other)
                    if joined is not None:
                        _add(waiting, joined, self._foremost)
        return settled

    def _begun(self, stage: int, parts: tuple[int, ...], below: tuple[_Below, ...]) -> _Partition:
        """The branches below as branches of a stage, joined where a limit says so."""
        joined = list(parts)
        for pair, least in self._together:
            if least > stage:
                met = [part for part in joined if part & pair]
                joined = [part for part in joined if not part & pair] + [sum(met)]
        return _Partition(tuple(joined), below)

    def _joined(self, stage: int, each: _Partition, one: int, other: int) -> _Partition | None:
        """Two branches as one; None where a limit speaks against it."""
        join = each.parts[one] | each.parts[other]
        if any(join & pair == pair and most <= stage for pair, most in self._apart):
            return None
        others = (*each.parts[:one], *each.parts[one + 1 : other], *each.parts[other + 1 :])
        return _Partition((*others, join), each.below)

    def _promising(self, stage: int, partitions: list[_Partition]) -> list[_Partition]:
        """Those that hold most of the front over costs and score; then those of lowest score."""
        if len(partitions) <= self._width:
            return partitions
        scores = [self._stage_score(stage, each.parts) for each in partitions]
        owners = np.repeat(np.arange(len(partitions)), [len(each.below) for each in partitions])
        ends = [below for each in partitions for below in each.below]
        of_stage = np.array([self._costs(stage, each.parts) for each in partitions])
        points = np.array([below.score for below in ends]) + np.array(scores)[owners]
        costs = np.array([below.costs for below in ends]) + of_stage[owners]
        front = owners[foremost(costs, points, 1)]
        held = np.bincount(front, minlength=len(partitions))
        lowest = np.full(len(partitions), np.inf)
        np.minimum.at(lowest, owners, points)
        chosen = np.lexsort((lowest, -held))[: self._width]
        return [partitions[place] for place in chosen]

    def _settled(self, stage: int, each: _Partition) -> list[tuple[tuple[int, ...], list[_Below]]]:
        """A partition as the last word on its stage; nothing where a limit speaks against it."""
        few, many = self._space.limits.fewest, self._space.limits.most
        width = len(each.parts)
        if (few and width < few[stage]) or (many and width > many[stage]):
            return []
        if stage == 0 and width > 1 and not self._space.may_split[0]:
            return []
        score, costs = self._stage_score(stage, each.parts), self._costs(stage, each.parts)
        if score == math.inf:
            return []
        ends = [
            _Below(
                below.score + score,
                tuple(map(add, below.costs, costs)),
                (each.parts, *below.rows),
            )
            for below in each.below
        ]
        return [(each.parts, ends)]

    def _foremost(self, below: tuple[_Below, ...]) -> tuple[_Below, ...]:
        """The front over costs and score; evenly spread where it is long."""
        costs = np.array([each.costs for each in below])
        front = foremost(costs, np.array([each.score for each in below]), 1)
        most = 4 * self._width
        if len(front) > most:
            front = front[np.linspace(0, len(front) - 1, most).round().astype(int)]
        return tuple(below[place] for place in front)

    def _stage_score(self, stage: int, parts: tuple[int, ...]) -> float:
        return self._score.stage(stage, list(self._numbers[stage].of(parts)))

    def _costs(self, stage: int, parts: tuple[int, ...]) -> tuple[float, ...]:
        return tuple(sum(column.of(parts)) for column in self._prices[stage])

    def _end(self, rows: tuple[tuple[int, ...], ...]) -> _End:
        stages = [_in_order(row) for row in rows]
        score = sum(self._stage_score(stage, row) for stage, row in enumerate(stages))
        columns = zip(*self._prices, strict=True)
        costs = [sum(chain.from_iterable(map(_Numbers.of, column, stages))) for column in columns]
        labels = [self._labels(row) for row in stages]
        return _End(tuple(costs), score, Tree.from_labels(self._space.tasks, labels))

    def _labels_of(self, parts: tuple[int, ...]) -> list[int]:
        tasks = range(len(self._space.tasks))
        return [next(part for part in parts if part >> task & 1) for task in tasks]


def _add(
    waiting: dict[int, dict[frozenset[int], _Partition]],
    found: _Partition,
    in_front: Callable[[tuple[_Below, ...]], tuple[_Below, ...]],
) -> None:
    """Put a partition with its like; one found twice keeps the best of what lies below."""
    alike = waiting.setdefault(len(found.parts), {})
    key = frozenset(found.parts)
    there = alike.get(key)
    if there is None:
        alike[key] = found
    elif there.below is not found.below:
        new = tuple(below for below in found.below if below not in there.below)
        alike[key] = there._replace(below=in_front(there.below + new)) if new else there


def _in_order(parts: tuple[int, ...]) -> tuple[int, ...]:
    """Branches by their first task, as a tree numbers them."""
    return tuple(sorted(parts, key=lambda part: part & -part))


def _mask(tasks: Sequence[str], some: Sequence[str]) -> int:
    return sum(1 << tasks.index(task) for task in some)
