"""A space of listed trees does what any other space does, and holds them alone."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.space.cost import Cost, CostTable
from branchsearch.space.extremes import extremes
from branchsearch.space.limits import Limits
from branchsearch.space.space import EmptySpace, Space
from branchsearch.tree import Tree

WHOLE = Space.of("abc", 2)
lists = st.sets(st.sampled_from(list(WHOLE)), min_size=1)


def space_of(trees: set[Tree]) -> Space:
    return Space.of("abc", 2, Limits(trees=frozenset(trees)))


@given(lists)
def test_it_holds_the_listed_trees_alone_each_once(trees: set[Tree]):
    space = space_of(trees)
    assert set(space) == trees == {tree for tree in WHOLE if tree in space}
    assert space.count() == len(list(space)) == len(trees)


@given(lists)
def test_ranks_name_trees_and_the_first_shares_most(trees: set[Tree]):
    space = space_of(trees)
    assert [space.rank(tree) for tree in space] == list(range(len(trees)))
    assert [space.unrank(rank) for rank in range(len(trees))] == list(space)
    most, least = extremes(space)
    assert most.widths == min(tree.widths for tree in trees)
    assert least.widths == max(tree.widths for tree in trees)


@given(lists, st.integers(0, 9))
def test_what_is_drawn_is_listed(trees: set[Tree], seed: int):
    assert space_of(trees).sample(Random(seed)) in trees


def test_a_list_stands_beside_other_limits():
    table = CostTable((Cost(1, 1), Cost(1, 1)), dict.fromkeys("abc", Cost(0, 0)))
    within = space_of(set(WHOLE)).within(table, {"parameters": 4})
    assert set(within) == {tree for tree in WHOLE if sum(tree.widths) <= 4}


def test_only_stages_that_may_split_split():
    space = Space(("a", "b", "c"), (False, True), Limits(trees=frozenset(WHOLE)))
    assert {tree.widths[0] for tree in space} == {1}


def test_nothing_can_be_drawn_from_an_empty_list():
    with pytest.raises(EmptySpace):
        space_of(set()).sample(Random(0))


def test_trees_of_other_tasks_are_refused():
    with pytest.raises(ValueError, match="a tree has the tasks"):
        space_of({Tree.share_all(["a", "z"], 2)})
