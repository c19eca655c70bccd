"""Trees that differ from a tree by one step.

Three kinds: two branches that part at a stage go together through it (merge); a branch parts one
stage earlier (split), which undoes a merge; what one branch feeds is fed by its sibling instead
(move). Merges and splits alone lead from any tree to any other.
"""

from collections.abc import Iterator
from itertools import chain, combinations, permutations
from random import Random
from typing import NamedTuple

from branchsearch.space.space import Space
from branchsearch.tree import Tree

#: Random steps that may lead out of the space before all steps are tried in turn.
_PATIENCE = 100


class Step(NamedTuple):
    """Some tasks, by number, take another branch at one stage."""

    stage: int
    tasks: tuple[int, ...]
    branch: int

    def taken(self, tree: Tree) -> Tree:
        """The tree that the step leads to."""
        rows = [list(row) for row in tree.branches]
        for task in self.tasks:
            rows[self.stage][task] = self.branch
        return Tree.from_labels(tree.tasks, rows)


def neighbours(tree: Tree, space: Space) -> Iterator[Tree]:
    """Every tree of the space one step away, once each, lazily: merges, then splits, then moves.

    Stages that may not split follow the one above. A branch that feeds n others can be split in
    2^(n - 1) - 1 ways; for many tasks use ``random_neighbour``.
    """
    if not space.free_stages:
        return
    free = space.narrow(tree)
    splits = (step for branch in _feeding_several(free) for step in _splits(free, *branch))
    seen = {tree}
    for step in chain(merges(free), splits, _moves(free)):
        found = space.widen(step.taken(free))
        if found not in seen and found in space:
            seen.add(found)
            yield found


def random_neighbour(tree: Tree, space: Space, random: Random) -> Tree | None:
    """One tree of the space one step away; None when there is none.

    A kind of step is drawn first, so that a long walk shares neither ever more nor ever less.
    """
    if not space.free_stages:
        return None
    free = space.narrow(tree)
    merging, branches, moving = list(merges(free)), list(_feeding_several(free)), list(_moves(free))
    kinds = [kind for kind in (merging, branches, moving) if kind]
    for _ in range(_PATIENCE if kinds else 0):
        kind = random.choice(kinds)
        if kind is branches:
            step = _split(free, *random.choice(branches), random)
        else:
            step = random.choice(merging if kind is merging else moving)
        found = space.widen(step.taken(free))
        if found in space:
            return found
    return next(neighbours(tree, space), None)


def merges(tree: Tree) -> Iterator[Step]:
    """Every way to join two branches that one branch feeds, at the first stages first."""
    for stage in range(len(tree.branches)):
        for one, other in _siblings(tree, stage):
            if one < other:
                yield Step(stage, _taking(tree, stage, other), one)


def _feeding_several(tree: Tree) -> Iterator[tuple[int, int]]:
    """Stage and number of the branches that can be split."""
    for stage in range(len(tree.branches)):
        for branch in range(tree.widths[stage]):
            if len(_fed(tree, stage, branch)) > 1:
                yield stage, branch


def _splits(tree: Tree, stage: int, branch: int) -> Iterator[Step]:
    others = _fed(tree, stage, branch)[1:]
    for size in range(1, len(others) + 1):
        for leaving in combinations(others, size):
            yield Step(stage, tuple(chain.from_iterable(leaving)), tree.widths[stage])


def _split(tree: Tree, stage: int, branch: int, random: Random) -> Step:
    """One way to split a branch, each with the same probability."""
    others = _fed(tree, stage, branch)[1:]
    chosen = random.randrange(1, 1 << len(others))
    leaving = [tasks for place, tasks in enumerate(others) if chosen >> place & 1]
    return Step(stage, tuple(chain.from_iterable(leaving)), tree.widths[stage])


def _moves(tree: Tree) -> Iterator[Step]:
    for stage in range(len(tree.branches)):
        for one, other in _siblings(tree, stage):
            fed = _fed(tree, stage, one)
            yield from (Step(stage, tasks, other) for tasks in fed if len(fed) > 1)


def _siblings(tree: Tree, stage: int) -> Iterator[tuple[int, int]]:
    """Every two branches of a stage that the same branch feeds, both ways round."""
    parents = tree.parents(stage)
    for one, other in permutations(range(len(parents)), 2):
        if parents[one] == parents[other]:
            yield one, other


def _taking(tree: Tree, stage: int, branch: int) -> tuple[int, ...]:
    """The tasks of a branch, by number."""
    return tuple(t for t, taken in enumerate(tree.branches[stage]) if taken == branch)


def _fed(tree: Tree, stage: int, branch: int) -> list[tuple[int, ...]]:
    """The tasks of each branch that a branch feeds; after the last stage it feeds heads."""
    tasks = _taking(tree, stage, branch)
    if stage + 1 == len(tree.branches):
        return [(task,) for task in tasks]
    below: dict[int, list[int]] = {}
    for task in tasks:
        below.setdefault(tree.branches[stage + 1][task], []).append(task)
    return [tuple(members) for members in below.values()]
