"""A table of trees as a search problem: the trees that stand in it are all there are."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from branchsearch.search.problem import Problem
from branchsearch.search.replay.table import CannotReplay, Table
from branchsearch.space.cost import COSTS, Cost, CostTable
from branchsearch.space.limits import Limits
from branchsearch.space.space import Space
from branchsearch.tree import Tree


def problem_of(table: Table, affinity: np.ndarray | None = None) -> Problem:
    """The problem of finding the best tree of a table.

    It has no budget: a table within one lists the trees that keep to it. What its costs say of a
    tree is as near as stages can add up to the table's columns that are among
    ``branchsearch.space.cost.COSTS``, and 0 for a column that is not there.

    Args:
        table: Of the trees that may be trained.
        affinity: Shape [S, T, T]; zeros where it is not known.

    Raises:
        CannotReplay: The affinity has another shape.
    """
    shape = len(table.trees[0].branches), len(table.tasks), len(table.tasks)
    known = np.zeros(shape) if affinity is None else affinity
    if known.shape != shape:
        raise CannotReplay(f"an affinity of shape {known.shape} does not fit trees of {shape}")
    limits = Limits(trees=frozenset(table.trees))
    space = Space(table.tasks, _may_split(table.trees), limits)
    return Problem(space, _costs(table), budget={}, affinity=known)


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
