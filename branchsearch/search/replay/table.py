"""A table of trained trees, from a CSV file.

A row is one training: the column ``tree`` in the notation of ``Tree``, one column ``score:<task>``
per task (higher is better), any number of columns ``cost:<name>`` and, where trees were trained
several times, ``seed``. ``delta:<epoch>`` (mean score after each epoch, from 1) and ``seconds`` (of
the training) are read where they are; any other column is passed over.

Shape letters: M = rows, N = trees, S = stages, T = tasks, E = epochs.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from branchsearch.files import write_whole
from branchsearch.search.replay.study import Found
from branchsearch.tree import Tree

#: What begins the name of a column that has several forms.
_SCORE, _COST, _DELTA = "score:", "cost:", "delta:"


class InvalidTable(ValueError):
    """A file that is no such table; the message names file, line and column."""


class CannotReplay(ValueError):
    """What is asked of a table is more than it holds."""


@dataclass(frozen=True, eq=False)
class Table:
    """What came out of training N trees, each at least once.

    Attributes:
        trees: The N trees, in order of first appearance; all over the same tasks and stages.
        rows: One entry per tree: the numbers of its rows, at least one.
        scores: Shape [M, T], tasks in the trees' order; higher is better.
        costs: By name, shape [N]; the mean where the rows of a tree differ.
        curves: Shape [M, E], the mean score after each epoch; E is 0 where the file has none.
        seconds: Shape [M], how long each training took; None where the file does not say.
    """

    trees: tuple[Tree, ...]
    rows: tuple[tuple[int, ...], ...]
    scores: np.ndarray
    costs: Mapping[str, np.ndarray]
    curves: np.ndarray
    seconds: np.ndarray | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """The T task names, sorted."""
        return self.trees[0].tasks

    @cached_property
    def quality(self) -> np.ndarray:
        """The mean over tasks and then over seeds, shape [N]: what a tree is worth."""
        each = self.scores.mean(axis=1)
        return np.array([each[list(rows)].mean() for rows in self.rows])

    def found(self, number: int, row: int) -> Found:
        """What came out of a tree, by number, in one of its rows."""
        gains = dict(zip(self.tasks, self.scores[row].tolist(), strict=True))
        costs = {name: float(values[number]) for name, values in self.costs.items()}
        return Found(gains, costs)

    def within(self, budget: Mapping[str, float]) -> "Table":
        """The part whose trees keep to upper bounds on costs.

        Raises:
            CannotReplay: There is no such cost, or no such tree.
        """
        fits = np.full(len(self.trees), True)
        for name, most in budget.items():
            if name not in self.costs:
                there_are = ", ".join(self.costs) or "none"
                raise CannotReplay(f"the table has no cost {name!r}; there are {there_are}")
            if math.isnan(most):
                raise CannotReplay(f"the budget of {name} is no number")
            here = self.costs[name] <= most
            if not here.any():
                least = f"{self.costs[name].min():,g}"
                raise CannotReplay(
                    f"no tree of the table keeps to {name} ≤ {most:,g}; the least is {least}"
                )
            fits &= here
        if not fits.any():
            bounds = ", ".join(f"{name} ≤ {most:,g}" for name, most in budget.items())
            raise CannotReplay(f"no tree of the table keeps to all of {bounds}")
        (kept,) = fits.nonzero()
        return replace(
            self,
            trees=tuple(self.trees[number] for number in kept),
            rows=tuple(self.rows[number] for number in kept),
            costs={name: values[kept] for name, values in self.costs.items()},
        )


def read_table(path: Path) -> Table:
    """Read a table and check all of it.

    Raises:
        InvalidTable: There is no such file, columns are missing or stand twice, a cell is no
            number, a tree is none or is over other tasks or stages, or a tree stands twice with the
            same seed.
        OSError: The file cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _Reading(path, file).table()
    except (FileNotFoundError, IsADirectoryError):
        raise InvalidTable(f"no file {str(path)!r}") from None
    except UnicodeDecodeError as error:
        raise InvalidTable(f"{path}: is no text in UTF-8: {error}") from None


def write_table(table: Table, path: Path) -> None:
    """Write a table as ``read_table`` reads it, whole or not at all; seeds are numbered from 0."""
    file = io.StringIO()
    writer = csv.writer(file)
    names = [
        *(_SCORE + task for task in table.tasks),
        *(_COST + name for name in table.costs),
        *(f"{_DELTA}{epoch}" for epoch in range(1, table.curves.shape[1] + 1)),
        *(["seconds"] if table.seconds is not None else []),
    ]
    writer.writerow(["tree", "seed", *names])
    for number, (tree, rows) in enumerate(zip(table.trees, table.rows, strict=True)):
        costs = [values[number] for values in table.costs.values()]
        for seed, row in enumerate(rows):
            seconds = [] if table.seconds is None else [table.seconds[row]]
            numbers = [*table.scores[row], *costs, *table.curves[row], *seconds]
            writer.writerow([str(tree), seed, *map(float, numbers)])
    write_whole(path, file.getvalue().encode())


class _Reading:
    """One pass over a file; knows the line it is at, for errors."""

    def __init__(self, path: Path, file: Iterable[str]) -> None:
        self._path, self._lines = path, csv.reader(file, strict=True)

    def table(self) -> Table:
        header = [name.strip() for name in next(self._rows(), [])]
        tasks, costs, epochs = self._columns(header)
        numbers: list[list[float]] = []
        rows: dict[Tree, list[int]] = {}
        seen: dict[tuple[Tree, str], int] = {}
        wanted = [
            *(_SCORE + task for task in tasks),
            *(_COST + name for name in costs),
            *(f"{_DELTA}{epoch}" for epoch in epochs),
            *(["seconds"] if "seconds" in header else []),
        ]
        for cells in self._rows():
            if len(cells) != len(header):
                raise self._fault(f"has {len(cells)} cells under {len(header)} columns")
            row = dict(zip(header, map(str.strip, cells), strict=True))
            tree = self._tree(row["tree"], tasks, next(iter(rows), None))
            key = tree, row.get("seed", "")
            if key in seen:
                where = f"stands in line {seen[key]} already"
                raise self._fault(f"{tree} {where}" + (f", with seed {key[1]}" if key[1] else ""))
            seen[key] = self._lines.line_num
            rows.setdefault(tree, []).append(len(numbers))
            numbers.append([self._number(row[name], name) for name in wanted])
        if not rows:
            raise InvalidTable(f"{self._path}: has no row under its header")
        return _table(rows, np.array(numbers), tasks, costs, epochs)

    def _rows(self) -> Iterator[list[str]]:
        """Every line that is not empty."""
        try:
            yield from (cells for cells in self._lines if any(map(str.strip, cells)))
        except csv.Error as error:
            raise self._fault(str(error)) from None

    def _columns(self, header: Sequence[str]) -> tuple[list[str], list[str], list[int]]:
        """Tasks, sorted; costs; and epochs, sorted."""
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice:
            raise self._fault(f"column {twice!r} stands twice")
        if "tree" not in header:
            raise self._fault(f"there is no column 'tree' among {', '.join(header) or 'none'}")
        tasks = sorted(_named(header, _SCORE))
        if not tasks:
            raise self._fault("there is no column 'score:<task>', as in 'score:depth'")
        epochs = _named(header, _DELTA)
        all_of_them = [str(epoch) for epoch in range(1, len(epochs) + 1)]
        for epoch in epochs:
            if epoch not in all_of_them:
                raise self._fault(
                    f"column '{_DELTA}{epoch}': {len(epochs)} such columns are those of the epochs "
                    f"1 to {len(epochs)}, as in '{_DELTA}1'"
                )
        return tasks, _named(header, _COST), sorted(map(int, epochs))

    def _tree(self, text: str, tasks: Sequence[str], other: Tree | None) -> Tree:
        try:
            tree = Tree.parse(text)
        except ValueError as error:
            raise self._fault(f"column 'tree': {error}") from None
        if list(tree.tasks) != tasks:
            raise self._fault(
                f"{tree} is of {', '.join(tree.tasks)}, and the scores are of {', '.join(tasks)}"
            )
        if other and len(other.branches) != len(tree.branches):
            raise self._fault(
                f"{tree} has {len(tree.branches)} stages, and other trees {len(other.branches)}"
            )
        return tree

    def _number(self, text: str, column: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self._fault(f"column {column!r} holds {text!r}, which is no finite number")
        if column == "seconds" and number <= 0:
            raise self._fault(f"column 'seconds' holds {text!r}, and a training takes longer")
        return number

    def _fault(self, text: str) -> InvalidTable:
        return InvalidTable(f"{self._path}:{self._lines.line_num}: {text}")


def _named(header: Sequence[str], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in header if name.startswith(prefix)]


def _table(
    rows: Mapping[Tree, Sequence[int]],
    numbers: np.ndarray,
    tasks: Sequence[str],
    costs: Sequence[str],
    epochs: Sequence[int],
) -> Table:
    ends = np.cumsum([len(tasks), len(costs), len(epochs)])
    scores, paid, curves, seconds = np.split(numbers, ends, axis=1)
    by_tree = np.array([paid[list(of_tree)].mean(axis=0) for of_tree in rows.values()])
    return Table(
        trees=tuple(rows),
        rows=tuple(map(tuple, rows.values())),
        scores=scores,
        costs=dict(zip(costs, by_tree.T, strict=True)),
        curves=curves,
        seconds=seconds[:, 0] if seconds.shape[1] else None,
    )
