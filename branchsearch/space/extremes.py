"""The trees of a space that share most and least."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from random import Random

import networkx as nx

from branchsearch.space.neighbours import Step, merges
from branchsearch.space.solver import k_best
from branchsearch.space.space import EmptySpace, Space
from branchsearch.tree import Tree

_Steps = Callable[[Tree], Iterator[Step]]


@lru_cache(maxsize=16)  # samplers ask at every proposal
def extremes(space: Space) -> tuple[Tree, Tree]:
    """The trees that share most and least.

    They are the first and the last of a space that is counted. Limits on pairs may leave several
    that share as much as they may, one at each stage: of those, the ones with the fewest and the
    most copies of stages in all. Where trees are not counted, one of the space is found, branches
    of it are joined for as long as no limit speaks against it, and parted for as long as none does:
    no single join or parting leads further.

    Raises:
        EmptySpace: There is no tree, or none was found.
    """
    if space.countable:
        trees = space.count()
        if not trees:
            raise EmptySpace(f"no tree of {len(space.tasks)} tasks keeps to all limits")
        if space.limits.pairs and space.limits.trees is None:
            return _by_copies(space, 1), _by_copies(space, -1)
        return space.unrank(0), space.unrank(trees - 1)
    finest = _finest(space)
    found = _one_of(space, finest)
    return (
        _end(_walk(found, space, merges)),
        _end(_walk(found, space, lambda free: _partings(free, space.narrow(finest)))),
    )


def _by_copies(space: Space, sign: int) -> Tree:
    """The tree with the fewest copies, or with sign -1 the most."""
    (point,) = k_best(lambda stage, branch: sign, lambda stage, branch: 1, space, 1)  # noqa: ARG005
    return point.tree


def _finest(space: Space) -> Tree:
    """Part any two tasks at the first stage that may split and where no limit holds them.

    Whatever shares a branch here does so in every tree of the space.
    """
    labels: list[list[int]] = []
    for stage, may_split in enumerate(space.may_split):
        held: nx.Graph[str] = nx.Graph()
        held.add_nodes_from(space.tasks)
        held.add_edges_from(pair.tasks for pair in space.limits.pairs if pair.least > stage)
        above = labels[-1] if labels else [0] * len(space.tasks)
        together = {
            task: number
            for number, tasks in enumerate(nx.connected_components(held))
            for task in tasks
        }
        labels.append([together[task] for task in space.tasks] if may_split else above)
    return Tree.from_labels(space.tasks, labels)


def _one_of(space: Space, finest: Tree) -> Tree:
    """The finest tree, joined until it is narrow and cheap enough; else all shared; else drawn."""
    # what joining cannot mend is broken by every other tree as well
    wider = replace(space, limits=replace(space.limits, most=(), bounds=()))
    if finest not in wider:
        raise EmptySpace(f"no tree keeps to all limits: none parts tasks more than {finest}")
    shared = Tree.share_all(space.tasks, space.stages)
    for tree in chain(_walk(finest, wider, merges), [shared]):
        if tree in space:
            return tree
    return space.sample(Random(0))  # any will do, and always the same


def _walk(tree: Tree, space: Space, steps: _Steps) -> Iterator[Tree]:
    """A tree, and those that steps lead to one after the other, as long as one stays inside."""
    yield tree
    while space.free_stages:
        free = space.narrow(tree)
        ways = (space.widen(step.taken(free)) for step in steps(free))
        found = next((way for way in ways if way in space), None)
        if found is None:
            return
        yield (tree := found)


def _end(walk: Iterator[Tree]) -> Tree:
    (last,) = deque(walk, maxlen=1)
    return last


def _partings(tree: Tree, finest: Tree) -> Iterator[Step]:
    """Every way to part tasks from a branch that can be parted no further, last stages first."""
    heads = tuple(range(len(tree.tasks)))
    for stage in reversed(range(len(tree.branches))):
        row, below = tree.branches[stage], (*tree.branches, heads)[stage + 1]
        tied: nx.Graph[int] = nx.Graph()  # tasks that go on together, or are held together
        for labels in (below, finest.branches[stage]):
            tied.add_edges_from((task, labels.index(label)) for task, label in enumerate(labels))
        for tasks in nx.connected_components(tied):
            if len(tasks) < row.count(row[min(tasks)]):
                yield Step(stage, tuple(tasks), tree.widths[stage])
