"""A table of trees as a search problem: the trees that stand in it are all there are.

Samplers know a problem by the attributes of ``branchsearch.search.problem.Problem`` and the allowed
trees by those of ``branchsearch.space.space.Space``. A table need hold no space's trees, whole or
within a budget, and its costs need not add up; hence these two, which have the same attributes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from random import Random

import numpy as np

from branchsearch.search.replay.table import Table
from branchsearch.space.cost import COSTS, Cost, CostTable
from branchsearch.space.limits import NO_LIMITS, Limits
from branchsearch.space.space import EmptySpace, Space
from branchsearch.tree import Tree


@dataclass(frozen=True)
class Listed:
    """Some trees, with what a ``Space`` offers.

    Attributes:
        around: The space that they are of.
        trees: In an order that begins with sharing most.
    """

    around: Space
    trees: tuple[Tree, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The T task names, sorted."""
        return self.around.tasks

    @property
    def stages(self) -> int:
        """S, the number of stages."""
        return self.around.stages

    @property
    def may_split(self) -> tuple[bool, ...]:
        """Whether branches may part at each stage, shape [S]."""
        return self.around.may_split

    @property
    def free_stages(self) -> int:
        """The number of stages at which branches may part."""
        return self.around.free_stages

    @property
    def limits(self) -> Limits:
        """None; the list says all."""
        return NO_LIMITS

    @property
    def countable(self) -> bool:
        """They are counted."""
        return True

    def count(self) -> int:
        """How many there are."""
        return len(self.trees)

    def __iter__(self) -> Iterator[Tree]:
        return iter(self.trees)

    def __contains__(self, tree: Tree) -> bool:
        return tree in self._ranks

    def rank(self, tree: Tree) -> int:
        """The place of a tree in the list, from 0."""
        if tree not in self:
            raise ValueError(f"{tree} is not in the list")
        return self._ranks[tree]

    def unrank(self, rank: int) -> Tree:
        """The tree at a place in the list."""
        if not 0 <= rank < len(self.trees):
            raise IndexError(f"rank {rank} of a list of {len(self.trees)} trees")
        return self.trees[rank]

    def sample(self, random: Random) -> Tree:
        """One tree, each with the same probability."""
        if not self.trees:
            raise EmptySpace("the list has no tree")
        return random.choice(self.trees)

    def widen(self, tree: Tree) -> Tree:
        """As the space around."""
        return self.around.widen(tree)

    def narrow(self, tree: Tree) -> Tree:
        """As the space around."""
        return self.around.narrow(tree)

    @cached_property
    def _ranks(self) -> dict[Tree, int]:
        return {tree: rank for rank, tree in enumerate(self.trees)}


@dataclass(frozen=True)
class TableProblem:
    """What a ``Problem`` says, for the trees of a table.

    Attributes:
        space: The smallest space without limits that holds them all.
        allowed: The trees themselves.
        costs: What they cost, as near as stages can add up to the table's columns that are among
            ``branchsearch.space.cost.COSTS``; 0 for a column that is not there.
        budget: Upper bounds on those columns that the trees keep to.
        affinity: Shape [S, T, T]: how alike the tasks are at each stage; zeros where unknown.
    """

    space: Space
    allowed: Listed
    costs: CostTable
    budget: Mapping[str, int]
    affinity: np.ndarray

    def cost(self, tree: Tree) -> Cost:
        """What a tree costs."""
        return self.costs.of(tree)

    def allows(self, tree: Tree) -> bool:
        """Whether the table has a tree."""
        return tree in self.allowed


def problem_of(
    table: Table, *, budget: Mapping[str, float] | None = None, affinity: np.ndarray | None = None
) -> TableProblem:
    """The problem of finding the best tree of a table.

    Args:
        table: Holds trees within the budget alone.
        budget: Upper bounds by the names of the table's costs.
        affinity: Shape [S, T, T].

    Raises:
        ValueError: The affinity has another shape.
    """
    shape = len(table.trees[0].branches), len(table.tasks), len(table.tasks)
    if affinity is not None and affinity.shape != shape:
        raise ValueError(
            f"the affinity has the shape {affinity.shape}, and the table's trees {shape}"
        )
    space = Space(table.tasks, _may_split(table.trees))
    in_order = sorted(table.trees, key=lambda tree: (tree.widths, tree.branches))
    return TableProblem(
        space=space,
        allowed=Listed(space, tuple(in_order)),
        costs=_costs(table),
        budget={name: int(most) for name, most in (budget or {}).items() if name in COSTS},
        affinity=np.zeros(shape) if affinity is None else affinity,
    )


def _may_split(trees: Sequence[Tree]) -> tuple[bool, ...]:
    """Where the branches of any tree part."""
    together = (0,) * len(trees[0].tasks)
    parts = [
        [above != row for above, row in pairwise((together, *tree.branches))] for tree in trees
    ]
    return tuple(map(any, zip(*parts, strict=True)))


def _costs(table: Table) -> CostTable:
    """Prices of stages that fit best; what every tree pays is booked on the first task's head."""
    fitted = {name: _prices(table, name) for name in COSTS}
    stages = [
        Cost(**dict(zip(COSTS, prices, strict=True)))
        for prices in zip(*(prices for prices, _ in fitted.values()), strict=True)
    ]
    rest = Cost(**{name: rest for name, (_, rest) in fitted.items()})
    heads = dict.fromkeys(table.tasks, Cost(0, 0)) | {table.tasks[0]: rest}
    return CostTable(tuple(stages), heads)


def _prices(table: Table, name: str) -> tuple[list[int], int]:
    """The price of a copy of each stage, and what every tree pays; by least squares, rounded."""
    widths = np.array([tree.widths for tree in table.trees], float)  # [N, S]
    if name not in table.costs:
        return [0] * widths.shape[1], 0
    terms = np.column_stack([widths, np.ones(len(widths))])
    terms[:, :-1] *= np.ptp(widths, axis=0) > 0  # else a stage and the rest are the same to the fit
    found = np.linalg.lstsq(terms, table.costs[name], rcond=None)[0]
    *prices, rest = (max(0, round(float(number))) for number in found)
    return prices, rest
