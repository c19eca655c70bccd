"""A tree as a graph from the image over every stage's copies to the heads, and where it is drawn.

The layout is tidy: heads stand in the order of ``leaves``, everything above in the middle of what
it feeds, so that siblings are neighbours and no two edges cross.
"""

from itertools import pairwise
from typing import NamedTuple

import networkx as nx

from branchsearch.drawing.leaves import leaves
from branchsearch.tree import Tree


class Node(NamedTuple):
    """One node: the image in layer 0, a copy of stage s in layer s + 1, heads in the last.

    Attributes:
        layer: How many edges lie between it and the image.
        number: The branch's number at its stage; for a head, its task's place in ``tree.tasks``.
    """

    layer: int
    number: int


def graph(tree: Tree) -> "nx.DiGraph[Node]":
    """The tree's nodes and what feeds what.

    Every node has ``kind``, one of ``image``, ``branch`` and ``head``, and ``tasks``, those that
    run through it in the order of ``leaves``; every edge has the ``tasks`` that it carries.
    """
    last = len(tree.branches) + 1
    drawn: nx.DiGraph[Node] = nx.DiGraph()
    for task in leaves(tree):
        column = tree.tasks.index(task)
        path = [Node(0, 0)]
        path += [Node(layer, row[column]) for layer, row in enumerate(tree.branches, start=1)]
        path += [Node(last, column)]
        for node in path:
            drawn.add_node(node)
            drawn.nodes[node].setdefault("tasks", []).append(task)
        for edge in pairwise(path):
            drawn.add_edge(*edge)
            drawn.edges[edge].setdefault("tasks", []).append(task)
    for node, data in drawn.nodes.items():
        data["kind"] = {0: "image", last: "head"}.get(node.layer, "branch")
        data["tasks"] = tuple(data["tasks"])
    for _, _, data in drawn.edges(data=True):
        data["tasks"] = tuple(data["tasks"])
    return drawn


def tree_of(drawn: "nx.DiGraph[Node]") -> Tree:
    """Read the tree that a graph like ``graph``'s shows: from its nodes and edges alone.

    Raises:
        ValueError: It is not one image from which every head is reached, each over one copy of
            every stage.
    """
    last = max((node.layer for node in drawn), default=0)
    heads = sorted(node for node in drawn if node.layer == last)
    labels, tasks = [], []
    for head in heads:
        path = [head]
        while len(feeding := list(drawn.predecessors(path[-1]))) == 1:
            path += feeding
        if [node.layer for node in path] != list(range(last, -1, -1)) or path[-1] != Node(0, 0):
            raise ValueError(f"no single path leads from the image to {head}")
        labels.append([node.number for node in path[-2:0:-1]])
        tasks += drawn.nodes[head]["tasks"]
    if last < 2 or len(tasks) != len(heads):
        raise ValueError("a tree has at least one stage, and one task per head")
    return Tree.from_labels(tasks, list(zip(*labels, strict=True)))


def positions(drawn: "nx.DiGraph[Node]") -> dict[Node, tuple[float, float]]:
    """Where each node stands: its layer, and its row, counted in heads from 0 at the top."""
    rows: dict[Node, float] = {}
    heads = 0
    for node in nx.dfs_postorder_nodes(drawn, Node(0, 0)):
        fed = [rows[child] for child in drawn.successors(node)]
        rows[node] = (min(fed) + max(fed)) / 2 if fed else heads
        heads += not fed
    return {node: (node.layer, row) for node, row in rows.items()}
