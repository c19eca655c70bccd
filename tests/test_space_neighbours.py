from random import Random

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.space.neighbours import merges, neighbours, random_neighbour
from branchsearch.space.space import Space
from branchsearch.tree import Tree
from tests.test_space_space import spaces


def test_the_neighbours_of_a_tree_by_hand():
    tree = Tree.parse("a+b+c > a+b,c")
    assert [str(found) for found in neighbours(tree, Space.of("abc", 2))] == [
        "a+b+c > a+b+c",  # merged
        "a+b,c > a+b,c",  # split earlier
        "a+b+c > a,b,c",  # split
        "a+b+c > a+c,b",  # b moved
        "a+b+c > a,b+c",  # a moved
    ]


@given(spaces())
def test_steps_stay_in_the_space_and_can_be_undone(space: Space):
    for tree in space:
        found = list(neighbours(tree, space))
        assert len(set(found)) == len(found)
        assert tree not in found
        assert all(other in space for other in found)
        assert all(tree in set(neighbours(other, space)) for other in found)


@given(spaces(limited=False))
def test_steps_lead_everywhere(space: Space):
    steps = nx.Graph([(tree, other) for tree in space for other in neighbours(tree, space)])
    steps.add_nodes_from(space)
    assert nx.is_connected(steps)


@given(spaces(limited=False))
def test_a_merge_saves_branches_and_keeps_the_rest(space: Space):
    for tree in space:
        for step in merges(tree):
            widths = step.taken(tree).widths
            assert sum(tree.widths) - sum(widths) == 1


@given(spaces(), st.integers(0, 2**32))
def test_a_random_neighbour_is_one(space: Space, seed: int):
    for tree in space:
        found = random_neighbour(tree, space, Random(seed))
        assert (found is None) == (not list(neighbours(tree, space)))
        assert found is None or found in set(neighbours(tree, space))


def test_every_neighbour_is_drawn():
    space, random = Space.of("abcd", 3), Random(2)
    tree = Tree.parse("a+b+c+d > a+b,c+d > a,b,c+d")
    drawn = {random_neighbour(tree, space, random) for _ in range(2_000)}
    assert drawn == set(neighbours(tree, space))


def test_forty_tasks_walk():
    space, random = Space.of([f"t{number:02}" for number in range(40)], 5), Random(0)
    tree = Tree.share_all(space.tasks, 5)
    for _ in range(20):
        tree = random_neighbour(tree, space, random) or tree
    assert tree in space
