"""The trees of a space that share most and least."""

import networkx as nx

from branchsearch.space.neighbours import merges
from branchsearch.space.space import EmptySpace, Space
from branchsearch.tree import Tree


def extremes(space: Space) -> tuple[Tree, Tree]:
    """The trees that share most and least; the first and the last of a space that is counted.

    Where it is not, the one parts tasks as early as limits on pairs let them, and the other joins
    branches of that one for as long as no limit speaks against it.

    Raises:
        EmptySpace: There is no tree, or none was found.
    """
    if space.countable:
        trees = space.count()
        if not trees:
            raise EmptySpace(f"no tree of {len(space.tasks)} tasks keeps to all limits")
        return space.unrank(0), space.unrank(trees - 1)
    least = _parted(space)
    if least not in space:
        raise EmptySpace(f"no tree was found that keeps to all limits; nor does {least}")
    return (_joined(least, space) if space.free_stages else least), least


def _parted(space: Space) -> Tree:
    """Part any two tasks at the first stage that may split and where no limit holds them."""
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


def _joined(tree: Tree, space: Space) -> Tree:
    free = space.narrow(tree)
    for step in merges(free):
        found = space.widen(step.taken(free))
        if found in space:
            return _joined(found, space)
    return tree
