from itertools import combinations, pairwise

import networkx as nx
import pytest
from hypothesis import given

from branchsearch.drawing.graph import Node, graph, positions, tree_of
from branchsearch.drawing.leaves import leaves
from branchsearch.drawing.plan import plan
from branchsearch.tree import Tree
from tests.generators import trees


@given(trees())
def test_the_graph_is_the_tree(tree: Tree):
    drawn = graph(tree)
    assert nx.is_arborescence(drawn)
    for stage in range(len(tree.branches)):
        layer = stage + 1
        for branch, (members, parent) in enumerate(
            zip(tree.members(stage), tree.parents(stage), strict=True)
        ):
            node = Node(layer, branch)
            assert sorted(drawn.nodes[node]["tasks"]) == list(members)
            assert list(drawn.predecessors(node)) == [Node(layer - 1, parent)]
    heads = [node for node, kind in drawn.nodes(data="kind") if kind == "head"]
    assert sorted(drawn.nodes[head]["tasks"][0] for head in heads) == list(tree.tasks)


@given(trees())
def test_a_graph_leads_back_to_its_tree(tree: Tree):
    assert tree_of(graph(tree)) == tree


def test_a_graph_that_is_no_tree_is_refused():
    drawn = graph(Tree.parse("a+b > a,b"))
    drawn.remove_edge(Node(1, 0), Node(2, 1))
    with pytest.raises(ValueError, match=r"no single path .* to Node\(layer=3, number=1\)"):
        tree_of(drawn)
    with pytest.raises(ValueError, match="at least one stage"):
        tree_of(nx.DiGraph())


@given(trees())
def test_no_two_edges_cross_and_no_two_nodes_meet(tree: Tree):
    drawn = graph(tree)
    places = positions(drawn)
    assert len(set(places.values())) == len(places)
    for (a, b), (c, d) in combinations(drawn.edges, 2):
        if a.layer == c.layer:
            above, below = places[a][1] - places[c][1], places[b][1] - places[d][1]
            assert above * below >= 0


@given(trees())
def test_strands_keep_their_order_and_boxes_do_not_overlap(tree: Tree):
    drawn = plan(tree)
    assert [strand.task for strand in drawn.strands] == list(leaves(tree))
    assert all(a.y < b.y for a, b in pairwise(drawn.strands))
    for a, b in combinations(drawn.boxes, 2):
        if a.stage == b.stage:
            assert a.y + a.height < b.y or b.y + b.height < a.y


@given(trees())
def test_a_branch_is_as_wide_as_its_tasks(tree: Tree):
    drawn = plan(tree)
    assert all(box.height >= len(box.tasks) * drawn.thickness for box in drawn.boxes)
