"""Spaces with limits on pairs, among them such as have too many tasks to be counted."""

import pytest

from branchsearch.space.extremes import extremes
from branchsearch.space.limits import Bound, Limits, PairLimit
from branchsearch.space.neighbours import merges
from branchsearch.space.space import EmptySpace, Space

TASKS = [f"t{number:02}" for number in range(13)]
TOGETHER, APART = PairLimit(("t00", "t01"), least=2), PairLimit(("t02", "t03"), most=1)
COPIES = Bound("copies", (1, 1, 1), 0, 12)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(most=(1, 3, 13), pairs=(TOGETHER,)),
        Limits(most=(2, 3, 4), pairs=(APART,)),
        Limits(bounds=(COPIES,), pairs=(TOGETHER, APART)),
        Limits(fewest=(1, 2, 3), most=(1, 5, 5), bounds=(COPIES,), pairs=(TOGETHER, APART)),
    ],
    ids=["most, together", "most, apart", "bound", "all"],
)
def test_narrow_and_cheap_trees_are_found_where_nothing_is_counted(limits: Limits):
    space = Space.of(TASKS, 3, limits)
    assert not space.countable
    most, least = extremes(space)
    assert most in space
    assert least in space
    assert sum(most.widths) < sum(least.widths)
    assert not any(step.taken(most) in space for step in merges(most))


def test_the_least_shared_tree_is_as_wide_as_it_may_be():
    space = Space.of(TASKS, 3, Limits(most=(1, 3, 13), pairs=(TOGETHER,)))
    assert [tree.widths for tree in extremes(space)] == [(1, 1, 1), (1, 3, 13)]


def test_stages_that_may_not_split_follow_the_one_above():
    limits = Limits(most=(13, 4, 4), pairs=(APART,))
    space = Space(tuple(TASKS), (False, True, False), limits)
    assert [tree.widths for tree in extremes(space)] == [(1, 2, 2), (1, 4, 4)]
    assert extremes(Space(tuple(TASKS), (False,), Limits(pairs=(PairLimit(("t00", "t01")),))))


def test_limits_that_contradict_each_other_are_no_space():
    limits = Limits(
        pairs=(
            PairLimit(("t00", "t01"), least=2),
            PairLimit(("t01", "t02"), least=2),
            PairLimit(("t00", "t02"), most=1),
        )
    )
    with pytest.raises(EmptySpace, match="none parts tasks more than"):
        extremes(Space.of(TASKS, 3, limits))


def test_of_trees_that_join_other_pairs_the_one_with_fewest_copies_shares_most():
    limits = Limits(pairs=(PairLimit(("a", "b"), most=0), PairLimit(("a", "c"), most=1)))
    most, least = extremes(Space.of("abc", 3, limits))
    assert str(most) == "a,b+c > a,b+c > a,b+c"
    assert str(least) == "a,b,c > a,b,c > a,b,c"
