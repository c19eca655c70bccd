"""How many ways there are to go on from a branch, by widths, where pairs of tasks are limited.

Which branches a pair limit allows depends on who is in them, not on their number, so trees are
counted by subsets of tasks. At stage s the tasks B of one branch above split into parts; the part
that holds the first task of B is one branch, and the others split on:

  g(s, B) = Σ over allowed P of h(s, P) g(s, B - P),   h(s, P) = x_s g(s + 1, P),   g(s, ∅) = 1

where x_s stands for one branch at stage s, so that g is a polynomial whose exponents are widths;
x_s is left out where no limit concerns the width. Exponents are packed into one integer, digit by
digit, the first stage's in front. Takes 3^T S / 2 products of polynomials.
"""

from functools import cached_property

import numpy as np

from branchsearch.space.count import count_trees
from branchsearch.space.limits import Limits
from branchsearch.space.ragged import ragged
from branchsearch.space.subsets import allowed_branches, with_first
from branchsearch.space.widths import CannotCount

#: Terms that are collected before equal ones are added up.
_AT_ONCE = 2_000_000

#: A polynomial: packed exponents, rising, and their coefficients.
Polynomial = tuple[np.ndarray, np.ndarray]


class Ways:
    """The polynomials of every set of tasks at every stage, made when they are first asked for.

    Args:
        tasks: The T task names, sorted.
        may_split: Shape [S]: where branches may part.
        limits: All of them are looked at, but the least widths only in ``whole``.

    Raises:
        CannotCount: Widths of so many stages, or costs, do not fit into 64 bits.
    """

    def __init__(self, tasks: tuple[str, ...], may_split: tuple[bool, ...], limits: Limits) -> None:
        self.stages = len(may_split)
        self.everybody = (1 << len(tasks)) - 1
        self._tasks, self._may_split, self._limits = tasks, may_split, limits
        self._units = _units(len(tasks), limits, self.stages)
        dearest = [bound.total([len(tasks)] * self.stages) for bound in limits.bounds]
        if max(sum(self._units) * len(tasks), *dearest, 0) >= 2**63:
            raise CannotCount(
                f"limits on pairs, and on the widths or costs of {np.count_nonzero(self._units)} "
                f"stages beside them, take {len(tasks)} tasks beyond the 64 bits that are counted "
                "in; trees can still be drawn"
            )

    def unit(self, stage: int) -> int:
        """One branch at a stage, packed; 0 where the width does not matter."""
        return self._units[stage]

    def whole(self) -> Polynomial:
        """The polynomial of whole trees, with every limit applied."""
        codes, trees = self.of(0, self.everybody)
        few = np.where(self._units, self._limits.fewest or 0, 0)
        keep = (self._widths(codes) >= few).all(axis=1)
        return codes[keep], trees[keep]

    def of(self, stage: int, branch: int) -> Polynomial:
        """How the tasks of a branch above split at a stage and below it."""
        return self._tables[stage].of(branch)

    def parts(self, stage: int, branch: int) -> np.ndarray:
        """The allowed branches that hold the first of some tasks, the largest first."""
        candidates = with_first(branch) if self._may_split[stage] else np.array([branch])
        allowed: np.ndarray = candidates[self._allowed[stage][candidates]]
        return allowed

    @cached_property
    def _allowed(self) -> np.ndarray:
        allowed = allowed_branches(self._tasks, self.stages, self._limits.pairs)
        for stage, many in enumerate(self._limits.most):
            if many == 1:
                allowed[stage, : self.everybody] = False
        return allowed

    @cached_property
    def _tables(self) -> list["_Table"]:
        """One per stage, and one for what is below the last: nothing."""
        # Python's integers where 64 bits might not do
        most = count_trees(len(self._tasks), sum(self._may_split))
        number = np.int64 if most < 2**62 else object
        tables = [_Table.at_the_end(self.everybody + 1, number)]
        for stage in range(self.stages - 1, -1, -1):
            tables.insert(0, self._table(stage, tables[0], number))
        return tables

    def _table(self, stage: int, below: "_Table", number: type) -> "_Table":
        """All sets of tasks at a stage, from small to large."""
        table = _Table.of_no_task(self.everybody + 1, number)
        for branch in range(1, self.everybody + 1):
            if stage == 0 and branch & 1 and branch != self.everybody:
                continue  # what is left beside a part of all tasks never holds the first
            table.add(branch, self._summed(stage, branch, below, table))
        return table

    def _summed(self, stage: int, branch: int, below: "_Table", beside: "_Table") -> Polynomial:
        parts = self.parts(stage, branch)
        rows = ragged(below.starts[parts], below.sizes[parts])  # one per term of h(s, P)
        rests = branch ^ np.repeat(parts, below.sizes[parts])
        codes, trees = below.codes[:0], below.trees[:0]
        while len(rows):
            now = max(1, int(beside.sizes[rests].cumsum().searchsorted(_AT_ONCE)))
            many = beside.sizes[rests[:now]]
            row = np.repeat(rows[:now], many)
            rest = ragged(beside.starts[rests[:now]], many)
            code = below.codes[row] + beside.codes[rest] + self._units[stage]
            tree = below.trees[row] * beside.trees[rest]
            codes, trees = self._collected(
                np.concatenate([codes, code]), np.concatenate([trees, tree]), stage
            )
            rows, rests = rows[now:], rests[now:]
        return codes, trees

    def _collected(self, codes: np.ndarray, trees: np.ndarray, stage: int) -> Polynomial:
        """Add up equal terms, and drop those that are beyond a limit already."""
        order = np.argsort(codes)
        codes = codes[order]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        codes, trees = codes[starts], np.add.reduceat(trees[order], starts)
        widths = np.maximum(self._widths(codes), np.arange(self.stages) < stage)  # at least 1 above
        keep = np.ones(len(codes), bool)
        if self._limits.most:
            keep &= (widths <= np.array(self._limits.most)).all(axis=1)
        for bound in self._limits.bounds:
            keep &= bound.rest + widths @ np.array(bound.prices) <= bound.most
        return codes[keep], trees[keep]

    def _widths(self, codes: np.ndarray) -> np.ndarray:
        """Unpack exponents: shape [codes, S]; zeros where widths do not matter."""
        units = np.array(self._units)
        digits = codes[:, None] // np.maximum(units, 1) % (len(self._tasks) + 1)
        widths: np.ndarray = np.where(units, digits, 0)
        return widths


def _units(tasks: int, limits: Limits, stages: int) -> list[int]:
    """One branch of each stage, packed: a digit for every stage whose width has to be known."""
    units, unit = [0] * stages, 1
    for stage in reversed(range(stages)):
        if (
            any(few > 1 for few in limits.fewest[stage : stage + 1])
            or any(1 < many < tasks for many in limits.most[stage : stage + 1])
            or any(bound.prices[stage] for bound in limits.bounds)
        ):
            units[stage], unit = unit, unit * (tasks + 1)
    return units


class _Table:
    """The polynomials of sets of tasks, one after another in the order in which they are added.

    Attributes:
        codes: Packed exponents of all of them; more room than is used.
        trees: Their coefficients.
        starts: Shape [2^T]: where each set's begin.
        sizes: Shape [2^T]: how many it has; 0 where there is no way, or none yet.
    """

    def __init__(self, starts: np.ndarray, sizes: np.ndarray, number: type) -> None:
        self.starts, self.sizes = starts, sizes
        self._used = int(sizes.sum())
        self.codes = np.zeros(self._used, np.int64)
        self.trees: np.ndarray = np.ones(self._used, number)

    @classmethod
    def of_no_task(cls, subsets: int, number: type) -> "_Table":
        """Only the empty set has a way yet, which is to do nothing."""
        sizes = np.zeros(subsets, np.int64)
        sizes[0] = 1
        return cls(np.zeros(subsets, np.int64), sizes, number)

    @classmethod
    def at_the_end(cls, subsets: int, number: type) -> "_Table":
        """After the last stage there is one way for every set."""
        return cls(np.arange(subsets), np.ones(subsets, np.int64), number)

    def add(self, branch: int, polynomial: Polynomial) -> None:
        """Append that of one more set."""
        codes, trees = polynomial
        end = self._used + len(codes)
        if end > len(self.codes):
            self.codes = np.concatenate([self.codes, np.zeros(end, np.int64)])
            self.trees = np.concatenate([self.trees, np.zeros(end, self.trees.dtype)])
        self.codes[self._used : end], self.trees[self._used : end] = codes, trees
        self.starts[branch], self.sizes[branch] = self._used, len(codes)
        self._used = end

    def of(self, branch: int) -> Polynomial:
        """That of one set."""
        piece = slice(self.starts[branch], self.starts[branch] + self.sizes[branch])
        return self.codes[piece], self.trees[piece]
