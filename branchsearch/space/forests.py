"""Trees whose pairs of tasks are limited: listed, counted, ranked and found by rank.

Which branches a pair limit allows depends on who is in them, not on their number, so trees are
counted by subsets of tasks. At stage s the tasks B of one branch above split into parts; the part
that holds the first task of B is one branch, and the others split on:

  g(s, B) = Σ over allowed P of h(s, P) g(s, B - P),   h(s, P) = x_s g(s + 1, P),   g(s, ∅) = 1

where x_s stands for one branch at stage s, so that g is a polynomial whose exponents are widths;
x_s is left out where no limit concerns the width. Exponents are packed into one integer, digit by
digit, the first stage's in front. Takes 3^T S / 2 products of polynomials: up to ``MOST_TASKS``.

Ordered by widths, then by the part of the first task, the largest first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from branchsearch.space.chains import Rows
from branchsearch.space.count import count_trees
from branchsearch.space.limits import Limits
from branchsearch.space.subsets import allowed_branches, with_first

#: So many tasks are counted exactly.
MOST_TASKS = 12

#: Terms that are collected before equal ones are added up.
_AT_ONCE = 2_000_000

#: A polynomial: packed exponents, rising, and their coefficients.
_Polynomial = tuple[np.ndarray, np.ndarray]

#: The branches of each stage from some stage on, as bit masks of tasks, by first task.
_Forest = list[list[int]]


@dataclass(frozen=True)
class Forests:
    """Every tree of at most ``MOST_TASKS`` tasks that the limits allow.

    Attributes:
        tasks: The T task names, sorted.
        may_split: Shape [S]: where branches may part.
        limits: All of them are looked at.
    """

    tasks: tuple[str, ...]
    may_split: tuple[bool, ...]
    limits: Limits
    _kept: dict[tuple[int, int], _Polynomial] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def trees(self) -> int:
        """How many there are, exact."""
        return int(self._whole()[1].sum())

    def __iter__(self) -> Iterator[Rows]:
        """Every tree, lazily."""
        for code in self._whole()[0].tolist():
            for forest in self._forests(0, self._everybody, code):
                yield self._rows(forest)

    def at(self, rank: int) -> Rows:
        """The tree of a rank in [0, trees())."""
        for code, trees in _terms(self._whole()):
            if rank < trees:
                return self._rows(self._forest_at(0, self._everybody, code, rank))
            rank -= trees
        raise IndexError(rank)

    def rank(self, rows: Rows) -> int:
        """How many trees come before an allowed one."""
        forest = [_masks(row) for row in rows]
        whole = self._code(forest, 0, self._everybody)
        earlier = sum(trees for code, trees in _terms(self._whole()) if code < whole)
        return earlier + self._rank(forest, 0, self._everybody)

    @property
    def _stages(self) -> int:
        return len(self.may_split)

    @property
    def _everybody(self) -> int:
        return (1 << len(self.tasks)) - 1

    def _unit(self, stage: int) -> int:
        """One branch at a stage, packed; 0 where the width does not matter."""
        limits = self.limits
        matters = limits.fewest or limits.most or limits.bounds
        return (len(self.tasks) + 1) ** (self._stages - 1 - stage) if matters else 0

    def _whole(self) -> _Polynomial:
        """The polynomial of whole trees, with every limit applied."""
        codes, trees = self._ways(0, self._everybody)
        few = np.array(self.limits.fewest or (0,) * self._stages)
        keep = (self._widths(codes) >= few).all(axis=1)
        return codes[keep], trees[keep]

    def _ways(self, stage: int, branch: int) -> _Polynomial:
        """How the tasks of a branch above split at a stage and below it."""
        if not branch or stage == self._stages:
            return np.zeros(1, np.int64), np.ones(1, self._number)
        if (stage, branch) not in self._kept:
            self._kept[stage, branch] = self._summed(stage, branch)
        return self._kept[stage, branch]

    def _summed(self, stage: int, branch: int) -> _Polynomial:
        codes: list[np.ndarray] = [np.empty(0, np.int64)]
        trees: list[np.ndarray] = [np.empty(0, self._number)]
        size = 0
        for part in self._parts(stage, branch):
            below, beside = self._ways(stage + 1, part), self._ways(stage, branch & ~part)
            codes.append(np.add.outer(below[0] + self._unit(stage), beside[0]).ravel())
            trees.append(np.multiply.outer(below[1], beside[1]).ravel())
            size += len(codes[-1])
            if size > _AT_ONCE:
                (code, tree), size = self._collected(codes, trees, stage), 0
                codes, trees = [code], [tree]
        return self._collected(codes, trees, stage)

    def _collected(
        self, codes: list[np.ndarray], trees: list[np.ndarray], stage: int
    ) -> _Polynomial:
        """Add up equal terms, and drop those that are beyond a limit already."""
        code, place = np.unique(np.concatenate(codes), return_inverse=True)
        tree: np.ndarray = np.zeros(len(code), self._number)
        np.add.at(tree, place, np.concatenate(trees))
        widths = np.maximum(self._widths(code), np.arange(self._stages) < stage)  # at least 1 above
        keep = np.ones(len(code), bool)
        if self.limits.most:
            keep &= (widths <= np.array(self.limits.most)).all(axis=1)
        for bound in self.limits.bounds:
            keep &= bound.rest + widths @ np.array(bound.prices) <= bound.most
        return code[keep], tree[keep]

    def _widths(self, codes: np.ndarray) -> np.ndarray:
        """Unpack exponents: shape [codes, S]; zeros where widths do not matter."""
        units = np.array([self._unit(stage) for stage in range(self._stages)])
        if not units[0]:
            return np.zeros((len(codes), self._stages), np.int64)
        widths: np.ndarray = codes[:, None] // units % (len(self.tasks) + 1)
        return widths

    @cached_property
    def _number(self) -> type:
        """What coefficients are counted in: Python's integers where 64 bits might not do."""
        most = count_trees(len(self.tasks), sum(self.may_split))
        return np.int64 if most < 2**62 else object

    def _parts(self, stage: int, branch: int) -> list[int]:
        """The allowed branches that hold the first of some tasks, the largest first."""
        candidates = with_first(branch).tolist() if self.may_split[stage] else [branch]
        allowed = self._allowed[stage]
        return [part for part in candidates if allowed[part]]

    @cached_property
    def _allowed(self) -> list[list[bool]]:
        """As lists: single entries are asked for, and arrays are slow at that."""
        listed: list[list[bool]] = allowed_branches(
            self.tasks, self._stages, self.limits.pairs
        ).tolist()
        return listed

    def _choices(
        self, stage: int, branch: int, code: int
    ) -> Iterator[tuple[int, int, int, int, int]]:
        """The ways to split off a part when the widths are given, in order.

        Yields the part, the packed widths below it and beside it, and how many ways each has.
        """
        for part in self._parts(stage, branch):
            beside = dict(_terms(self._ways(stage, branch & ~part)))
            for below_code, below_ways in _terms(self._ways(stage + 1, part)):
                beside_code = code - self._unit(stage) - below_code
                if beside_code in beside:
                    yield part, below_code, beside_code, below_ways, beside[beside_code]

    def _forests(self, stage: int, branch: int, code: int) -> Iterator[_Forest]:
        if not branch or stage == self._stages:
            yield [[] for _ in range(stage, self._stages)]
            return
        for part, below_code, beside_code, _, _ in self._choices(stage, branch, code):
            for below in self._forests(stage + 1, part, below_code):
                for beside in self._forests(stage, branch & ~part, beside_code):
                    yield _beside(part, below, beside)

    def _forest_at(self, stage: int, branch: int, code: int, rank: int) -> _Forest:
        if not branch or stage == self._stages:
            return [[] for _ in range(stage, self._stages)]
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
        if not branch or stage == self._stages:
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
            self._unit(below) * sum(bool(part & branch) for part in forest[below])
            for below in range(stage, self._stages)
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


def _terms(polynomial: _Polynomial) -> Iterator[tuple[int, int]]:
    return zip(polynomial[0].tolist(), polynomial[1].tolist(), strict=True)


def _beside(part: int, below: _Forest, beside: _Forest) -> _Forest:
    """Put a part, with what becomes of it, beside what becomes of the other tasks."""
    return [[part, *beside[0]], *(a + b for a, b in zip(below, beside[1:], strict=True))]


def _masks(row: Sequence[int]) -> list[int]:
    masks = [0] * (max(row) + 1)
    for task, branch in enumerate(row):
        masks[branch] |= 1 << task
    return masks
