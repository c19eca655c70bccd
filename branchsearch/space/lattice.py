"""The best tree for every sequence of widths, exactly, for scores that add up over stages alone.

A tree is a chain of partitions of the tasks, each a refinement of the one above, and the best way
to go on below a partition p of stage s with given widths further down is

  v(s, p) = score of stage s with the branches p + min over refinements q of p of v(s + 1, q).

The minimum over refinements is taken step by step from fine to coarse: whatever refines p refines p
or a partition that splits one branch of p in two. So each stage costs one pass over the pairs of
partitions that differ by one merge, whatever the score of a stage is made of. It takes memory for
each partition and sequence of widths: up to ``MOST_TASKS`` tasks.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np

from branchsearch.space.partitions import partitions
from branchsearch.space.points import Point
from branchsearch.space.space import Space
from branchsearch.space.stagewise import StageScore
from branchsearch.space.subsets import allowed_branches
from branchsearch.space.tables import dense
from branchsearch.tree import Tree

#: So many tasks are solved exactly.
MOST_TASKS = 10

#: The widths of some stages, input side first.
_Widths = tuple[int, ...]


def widths_front(score: StageScore, prices: Sequence[int | float], space: Space) -> list[Point]:
    """Find the best score for every cost that counts copies, and a tree for each.

    Args:
        score: Lower is better.
        prices: Shape [S]: what one copy of each stage costs.
        space: The trees, at most of ``MOST_TASKS`` tasks.

    Returns:
        By rising cost, with falling scores.

    Raises:
        ValueError: Too many tasks.
    """
    front: list[Point] = []
    for point in sorted(best_per_widths(score, prices, space), key=lambda p: (p.cost, p.score)):
        if not front or point.score < front[-1].score:
            front.append(point)
    return front


def best_per_widths(score: StageScore, prices: Sequence[int | float], space: Space) -> list[Point]:
    """Find the best tree for every sequence of widths that the space allows."""
    if len(space.tasks) > MOST_TASKS:
        raise ValueError(
            f"{len(space.tasks)} tasks have too many partitions for an exact solution, which takes "
            f"up to {MOST_TASKS}; branchsearch.space.beam has no such limit"
        )
    values = _values(score, space)
    found = []
    for width, (sequences, value) in values[0].items():
        if width > 1 and not space.may_split[0]:
            continue
        for column, below in enumerate(sequences):
            widths = (width, *below)
            if _within(space, widths) and np.isfinite(value[:, column].min()):
                tree = _tree(values, space, widths)
                cost = sum(p * w for p, w in zip(prices, widths, strict=True))
                found.append(Point(cost, score.of(tree), tree))
    return found


class _Partitions:
    """All partitions of n tasks by width, and which of the next width a merge leads from.

    Attributes:
        rows: Per width, shape [partitions, n]: the branch of each task.
        masks: Per width k, shape [partitions, k]: each branch as a bit mask.
        firsts: Per width, shape [partitions, n]: the first task of each task's branch.
        finer: Per width k, places among those of width k + 1 that refine by one split, one
            partition after another; and where each one's begin.
    """

    def __init__(self, tasks: int) -> None:
        self.rows = {
            width: np.array(list(partitions(tasks, width))) for width in range(1, tasks + 1)
        }
        self.masks = {width: _masks(rows, width) for width, rows in self.rows.items()}
        self.firsts = {
            width: np.argmax(rows[:, None, :] == rows[:, :, None], axis=2)
            for width, rows in self.rows.items()
        }
        self.finer = {width: self._finer(width) for width in range(1, tasks)}

    def _finer(self, width: int) -> tuple[np.ndarray, np.ndarray]:
        fine, coarse = self.rows[width + 1], self.rows[width]
        units = coarse.shape[1] ** np.arange(coarse.shape[1])[::-1]
        codes = coarse @ units  # rising, as the rows are in lexicographic order
        places = []
        for keep, join in combinations(range(width + 1), 2):
            merged = np.where(fine == join, keep, fine - (fine > join))
            places.append(codes.searchsorted(merged @ units))
        into = np.concatenate(places)
        order = np.argsort(into, kind="stable")
        return order % len(fine), np.searchsorted(into[order], np.arange(len(coarse)))

    def coarsened(self, value: np.ndarray, width: int) -> np.ndarray:
        """The least value among the refinements by one split, for each partition of a width."""
        finer, starts = self.finer[width]
        least: np.ndarray = np.minimum.reduceat(value[finer], starts, axis=0)
        return least


@lru_cache(maxsize=4)
def _partitions(tasks: int) -> _Partitions:
    return _Partitions(tasks)


def _masks(rows: np.ndarray, width: int) -> np.ndarray:
    bits = 1 << np.arange(rows.shape[1])
    columns = [((rows == branch) * bits).sum(axis=1) for branch in range(width)]
    return np.stack(columns, axis=1)


#: Per width of a stage: the sequences of widths below it, and v, shape [partitions, sequences].
_Values = dict[int, tuple[list[_Widths], np.ndarray]]


def _values(score: StageScore, space: Space) -> list[_Values]:
    """The function v of every stage, input side first."""
    scores = _stage_scores(score, space)
    values: list[_Values] = []
    for stage in range(space.stages - 1, -1, -1):
        below = _least_below(values[0] if values else None, space, stage)
        values.insert(
            0,
            {
                width: (sequences, scores[stage][width][:, None] + least)
                for width, (sequences, least) in below.items()
                if _may_have(space, stage, width)
            },
        )
    return values


def _least_below(below: _Values | None, space: Space, stage: int) -> _Values:
    """The least v of the next stage over all refinements, by the widths from there on."""
    every = _partitions(len(space.tasks))
    if below is None:
        return {width: ([()], np.zeros((len(rows), 1))) for width, rows in every.rows.items()}
    pieces: dict[int, list[tuple[list[_Widths], np.ndarray]]] = {w: [] for w in every.rows}
    for fine, (sequences, value) in below.items():
        now = [(fine, *sequence) for sequence in sequences]
        pieces[fine].append((now, value))
        if space.may_split[stage + 1]:
            for width in range(fine - 1, 0, -1):
                value = every.coarsened(value, width)
                pieces[width].append((now, value))
    return {
        width: (
            [sequence for sequences, _ in found for sequence in sequences],
            np.concatenate([value for _, value in found], axis=1),
        )
        for width, found in pieces.items()
        if found
    }


def _stage_scores(score: StageScore, space: Space) -> list[dict[int, np.ndarray]]:
    """Per stage and width: the score of the stage for each partition; inf where not allowed."""
    every = _partitions(len(space.tasks))
    numbers = dense(score.branch, space)
    allowed = allowed_branches(space.tasks, space.stages, space.limits.pairs)
    scores: list[dict[int, np.ndarray]] = []
    for stage in range(space.stages):
        scores.append({})
        for width, masks in every.masks.items():
            of_stage = [score.stage(stage, each) for each in numbers[stage][masks].tolist()]
            may_be = allowed[stage][masks].all(axis=1)
            scores[stage][width] = np.where(may_be, of_stage, np.inf)
    return scores


def _may_have(space: Space, stage: int, width: int) -> bool:
    few, many = space.limits.fewest, space.limits.most
    return (not few or width >= few[stage]) and (not many or width <= many[stage])


def _within(space: Space, widths: _Widths) -> bool:
    return all(bound.total(widths) <= bound.most for bound in space.limits.bounds)


def _tree(values: list[_Values], space: Space, widths: _Widths) -> Tree:
    """Follow the least values down from the input."""
    every = _partitions(len(space.tasks))
    row = np.zeros(len(space.tasks), np.int64)
    rows = []
    for stage, width in enumerate(widths):
        sequences, value = values[stage][width]
        refines = (row[every.firsts[width]] == row).all(axis=1)
        column = value[:, sequences.index(widths[stage + 1 :])]
        row = every.rows[width][np.argmin(np.where(refines, column, np.inf))]
        rows.append(row.tolist())
    return Tree.from_labels(space.tasks, rows)
