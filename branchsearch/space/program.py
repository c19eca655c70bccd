"""A dynamic program over sets of tasks, with Pareto fronts for numbers.

With score[s][B] what a branch B of stage s adds to a tree's score, the best way to split the tasks
B of one branch above among the branches of stage s and all below is

  g(s, B) = min over P of h(s, P) + g(s, B - P),   h(s, P) = score[s][P] + g(s + 1, P),

where P are the subsets of B that hold its first task, g(s, ∅) = 0 and g(S, B) = 0. Costs add up in
the same way, and every g is kept as a Pareto front over costs and score, with pointers back to what
made each point; sums of fronts are pruned once per set. That takes about 3^T S / 2 sums of fronts.

Limits on pairs leave out branches; limits on widths, and budgets, are further costs.

Numbers are added up in another order than ``branchsearch.space.tables.total`` does, so that of
floats the last digits may differ. Bounds on costs are therefore a little wider than they say, and
who asks looks at the totals of what comes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from branchsearch.space.fronts import foremost
from branchsearch.space.ragged import ragged
from branchsearch.space.space import Space
from branchsearch.space.subsets import allowed_branches, with_first
from branchsearch.space.tables import BranchNumbers, dense
from branchsearch.tree import Tree

#: So many tasks are solved exactly; each one more takes about four times as long.
MOST_TASKS = 14

#: Sums that are held at once.
_AT_ONCE = 1_000_000

#: How far sums of floats may be from each other, as a share of the sum of their sizes.
_ROUNDING = 1e-12

#: Fewer rows than this are added up without a look at which may be left out.
_FEW = 40


class Program:
    """The program of one problem, solved when it is made.

    Args:
        score: What each branch adds; lower is better, ``inf`` forbids.
        costs: One entry per cost: what each branch adds to it.
        most: What each may come to, by rounding.
        space: The trees.
        keep: How many points must be in front of another for it to be dropped.

    Raises:
        ValueError: Too many tasks, or a branch without a number.
    """

    def __init__(
        self,
        score: BranchNumbers,
        costs: Sequence[BranchNumbers],
        most: Sequence[float],
        space: Space,
        *,
        keep: int,
    ) -> None:
        if len(space.tasks) > MOST_TASKS:
            raise ValueError(
                f"{len(space.tasks)} tasks are too many for an exact solution, which takes up to "
                f"{MOST_TASKS}; branchsearch.space.beam has no such limit"
            )
        self._space, self._keep = space, keep
        self._everybody = (1 << len(space.tasks)) - 1
        self._score_SB = dense(score, space)
        columns = [
            _with_room(dense(cost, space), bound) for cost, bound in zip(costs, most, strict=True)
        ]
        columns += _limit_columns(space)
        none = np.zeros((*self._score_SB.shape, 0))
        self._cost_SBC = np.stack([table for table, _ in columns], -1) if columns else none
        self._most_C = np.array([bound for _, bound in columns])
        # what has been spent can only grow, and is too much for good, where no branch costs < 0
        rising = (self._cost_SBC >= 0).all(axis=(0, 1))
        self._most_on_the_way_C = np.where(rising, self._most_C, np.inf)
        allowed = allowed_branches(space.tasks, space.stages, space.limits.pairs)
        self._allowed_SB = allowed & np.isfinite(self._score_SB)
        below = _Fronts.at_the_end(self._everybody + 1, len(columns))
        self._stages: list[_Fronts] = []  # from the last one up
        for stage in range(space.stages - 1, -1, -1):
            below = self._solved(stage, below)
            self._stages.append(below)

    def trees(self) -> list[Tree]:
        """A tree for every point of the front of all tasks that is within its bounds, by rounding.

        Every other tree within them has as many of these in front of it as are kept.
        """
        whole = self._stages[-1].of(self._everybody)
        fits = (whole.costs <= self._most_C).all(axis=1)
        return [self._tree(place) for place in np.flatnonzero(fits).tolist()]

    def _solved(self, stage: int, below: "_Fronts") -> "_Fronts":
        """The fronts g(s, ·) from those of the next stage, set by set from small to large."""
        own = below.with_added(
            self._cost_SBC[stage],
            self._score_SB[stage],
            sizes=np.where(self._allowed_SB[stage], below.sizes, 0),
        )
        fronts = _Fronts.of_no_task(self._everybody + 1, self._cost_SBC.shape[2])
        for tasks in range(1, self._everybody + 1):
            if stage == 0 and tasks & 1 and tasks != self._everybody:
                continue  # what is left beside a part of all tasks never holds the first
            self._add(stage, tasks, own, fronts)
        return fronts

    def _add(self, stage: int, tasks: int, own: "_Fronts", fronts: "_Fronts") -> None:
        parts = with_first(tasks) if self._space.may_split[stage] else np.array([tasks])
        parts = parts[(own.sizes[parts] > 0) & (fronts.sizes[tasks ^ parts] > 0)]
        rows = ragged(own.starts[parts], own.sizes[parts])  # one per point of h(s, P)
        row_parts = np.repeat(parts, own.sizes[parts])
        kept: _Points | None = None
        while len(rows):
            pairs = fronts.sizes[tasks ^ row_parts].cumsum()
            now = max(1, int(pairs.searchsorted(_AT_ONCE)))
            sums = self._sums(tasks, rows[:now], row_parts[:now], own, fronts)
            rows, row_parts = rows[now:], row_parts[now:]
            sums = sums if kept is None else kept.and_(sums)
            kept = sums.at(foremost(sums.costs, sums.scores, self._keep))
        if kept is not None:
            fronts.add(tasks, kept)

    def _sums(
        self,
        tasks: int,
        rows: np.ndarray,
        parts: np.ndarray,
        own: "_Fronts",
        fronts: "_Fronts",
    ) -> "_Points":
        """Every point of some rows plus every point of what the other tasks may become."""
        known = None
        if self._keep == 1 and own.points.costs.shape[1] == 1 and len(rows) > _FEW:
            known, hopeful = _known(tasks, rows, parts, own, fronts)
            rows, parts = rows[hopeful], parts[hopeful]
        rests = tasks ^ parts
        many = fronts.sizes[rests]
        row = np.repeat(np.arange(len(rows)), many)
        beside = ragged(fronts.starts[rests], many)
        costs = own.points.costs[rows][row] + fronts.points.costs[beside]
        scores = own.points.scores[rows][row] + fronts.points.scores[beside]
        fits = (costs <= self._most_on_the_way_C).all(axis=1)
        if known is not None:
            fits &= known.not_behind(costs[:, 0], scores)
        if not fits.all():
            row, beside, costs, scores = row[fits], beside[fits], costs[fits], scores[fits]
        return _Points(
            costs=costs,
            scores=scores,
            parts=parts[row],
            below=(rows - own.starts[parts])[row],
            beside=beside - fronts.starts[rests][row],
        )

    def _tree(self, place: int) -> Tree:
        labels = np.zeros((self._space.stages, len(self._space.tasks)), int)
        self._follow(0, self._everybody, place, labels)
        return Tree.from_labels(self._space.tasks, labels.tolist())

    def _follow(self, stage: int, tasks: int, place: int, labels: np.ndarray) -> None:
        """Write down the branches that led to a point; a branch is labelled by its mask."""
        if not tasks or stage == self._space.stages:
            return
        point = self._stages[-1 - stage].of(tasks)
        part = int(point.parts[place])
        for task in range(labels.shape[1]):
            if part >> task & 1:
                labels[stage, task] = part
        self._follow(stage + 1, part, int(point.below[place]), labels)
        self._follow(stage, tasks & ~part, int(point.beside[place]), labels)


@dataclass(frozen=True, slots=True)
class _Points:
    """Points of fronts.

    Attributes:
        costs: Shape [points, C].
        scores: Shape [points].
        parts: Shape [points]: the branch that holds the first task, as a mask.
        below: The place, in that branch's front at the next stage, of what becomes of it.
        beside: The place, in the front of the other tasks at this stage, of what they become.
    """

    costs: np.ndarray
    scores: np.ndarray
    parts: np.ndarray
    below: np.ndarray
    beside: np.ndarray

    @classmethod
    def zeros(cls, points: int, columns: int) -> "_Points":
        places = np.zeros((3, points), np.int64)
        return cls(np.zeros((points, columns)), np.zeros(points), *places)

    def each(self) -> tuple[np.ndarray, ...]:
        return self.costs, self.scores, self.parts, self.below, self.beside

    def at(self, places: np.ndarray | slice) -> "_Points":
        return _Points(*(array[places] for array in self.each()))

    def and_(self, other: "_Points") -> "_Points":
        pairs = zip(self.each(), other.each(), strict=True)
        return _Points(*(np.concatenate(pair) for pair in pairs))


class _Fronts:
    """The fronts of sets of tasks, one after another in the order in which they are added.

    Attributes:
        starts: Shape [2^T]: where each begins.
        sizes: Shape [2^T]; 0 where there is no way, or none yet.
        points: Of all of them; more room than is used.
    """

    def __init__(self, starts: np.ndarray, sizes: np.ndarray, points: _Points) -> None:
        self.starts, self.sizes, self.points = starts, sizes, points
        self._used = int(sizes.sum())

    @classmethod
    def of_no_task(cls, subsets: int, columns: int) -> "_Fronts":
        """Only the empty set has a front yet."""
        sizes = np.zeros(subsets, np.int64)
        sizes[0] = 1
        return cls(np.zeros(subsets, np.int64), sizes, _Points.zeros(1, columns))

    @classmethod
    def at_the_end(cls, subsets: int, columns: int) -> "_Fronts":
        """After the last stage there is nothing left to pay, whoever is together."""
        ones = np.ones(subsets, np.int64)
        return cls(np.arange(subsets), ones, _Points.zeros(subsets, columns))

    def with_added(self, costs: np.ndarray, scores: np.ndarray, sizes: np.ndarray) -> "_Fronts":
        """The same after each front moved by a cost and a score, as far as sizes are not 0."""
        branch = np.repeat(np.arange(len(self.sizes)), self.sizes)  # added by rising mask
        used = self.points.at(slice(self._used))
        moved = replace(used, costs=used.costs + costs[branch], scores=used.scores + scores[branch])
        return _Fronts(self.starts, sizes, moved)

    def add(self, tasks: int, points: _Points) -> None:
        """Append the front of one more set."""
        end = self._used + len(points.scores)
        if end > len(self.points.scores):
            self.points = self.points.and_(_Points.zeros(end, points.costs.shape[1]))
        for kept, new in zip(self.points.each(), points.each(), strict=True):
            kept[self._used : end] = new
        self.starts[tasks], self.sizes[tasks] = self._used, len(points.scores)
        self._used = end

    def of(self, tasks: int) -> _Points:
        """The front of one set."""
        start = int(self.starts[tasks])
        return self.points.at(slice(start, start + int(self.sizes[tasks])))


@dataclass(frozen=True, slots=True)
class _Staircase:
    """Points that there are for certain, over one cost: by rising cost and falling score."""

    costs: np.ndarray
    scores: np.ndarray

    def not_behind(self, costs: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Where no known point costs as little or less and has a lower score."""
        place = self.costs.searchsorted(costs, side="right") - 1
        return (place < 0) | (self.scores[place] >= scores)


def _known(
    tasks: int, rows: np.ndarray, parts: np.ndarray, own: _Fronts, fronts: _Fronts
) -> tuple[_Staircase, np.ndarray]:
    """What is known of a front before all sums are made, and which rows may still add to it.

    Known are each row's sums with the cheapest and with the best point of the other front. A row's
    ideal has the cost of the one and the score of the other; if that is behind, so is all of it.
    """
    first = fronts.starts[tasks ^ parts]
    last = first + fronts.sizes[tasks ^ parts] - 1
    cost, score = own.points.costs[rows, 0], own.points.scores[rows]
    low_cost = cost + fronts.points.costs[first, 0]
    low_score = score + fronts.points.scores[last]
    costs = np.concatenate([low_cost, cost + fronts.points.costs[last, 0]])
    scores = np.concatenate([score + fronts.points.scores[first], low_score])
    front = foremost(costs[:, None], scores, 1)
    known = _Staircase(costs[front], scores[front])
    return known, known.not_behind(low_cost, low_score)


def _with_room(cost_SB: np.ndarray, most: float) -> tuple[np.ndarray, float]:
    """A cost with its bound, wider by what rounding may make of the dearest tree."""
    stages, subsets = cost_SB.shape
    dearest = np.abs(cost_SB, where=np.isfinite(cost_SB), out=np.zeros_like(cost_SB)).max()
    return cost_SB, most + _ROUNDING * float(dearest) * stages * subsets.bit_length()


def _limit_columns(space: Space) -> list[tuple[np.ndarray, float]]:
    """Limits on widths, and budgets of the space, as costs of branches with their bounds."""
    shape = (space.stages, 1 << len(space.tasks))
    columns = []
    for sign, widths in ((-1.0, space.limits.fewest), (1.0, space.limits.most)):
        for stage, width in enumerate(widths):
            if (width > 1) if sign < 0 else (width < len(space.tasks)):
                table = np.zeros(shape)
                table[stage, 1:] = sign
                columns.append((table, sign * width))
    for bound in space.limits.bounds:
        table = np.zeros(shape)
        table[:, 1:] = np.array(bound.prices)[:, None]
        columns.append((table, float(bound.most - bound.rest)))
    return columns
