from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.space.best_first import best_first, place
from branchsearch.space.criterion import in_order, mean_of_worst, ranked, ranking
from branchsearch.space.limits import Bound, Limits
from branchsearch.space.space import Space
from tests.test_space_criterion import random_affinity


@given(st.integers(0, 99))
def test_every_tree_comes_once_the_best_first(seed: int):
    space = Space.of("abcd", 2)
    score = mean_of_worst(space.tasks, random_affinity(4, 2, seed))
    start = list(ranked(space, score))[:1]
    trees = list(best_first(start, score, space))
    assert trees[0] == start[0]
    assert len(trees) == space.count()
    assert set(trees) == set(space)


def test_a_tree_comes_before_all_worse_ones_that_were_known():
    space = Space.of("abcd", 2)
    score = mean_of_worst(space.tasks, random_affinity(4, 2, seed=5))
    start = list(space)
    assert list(best_first(start, score, space)) == ranked(space, score)


def test_it_is_lazy_and_keeps_to_limits():
    names = [f"t{number:02}" for number in range(13)]
    space = Space.of(names, 3, Limits(bounds=(Bound("copies", (1, 1, 1), 0, 20),)))
    affinity = random_affinity(13, 3, seed=0)
    trees = list(islice(in_order(space, affinity), 60))
    assert len(set(trees)) == 60
    assert all(tree in space for tree in trees)


@pytest.mark.parametrize("form", ["mean", "sum", "gain"])
def test_large_spaces_begin_with_the_best_tree_and_stay_good(form: str):
    space = Space.of("abcdefgh", 4)
    affinity = random_affinity(8, 4, seed=3)
    found = ranking(space, affinity, form=form)
    trees = list(islice(in_order(space, affinity, form=form), 2 * len(found)))
    assert trees[0] == found[0]
    assert len(set(trees)) == len(trees)


def test_small_spaces_are_ranked_whole():
    space, affinity = Space.of("abc", 2), random_affinity(3, 2, seed=1)
    assert list(in_order(space, affinity)) == ranking(space, affinity)
    score = mean_of_worst(space.tasks, affinity)
    assert len({place(tree, score) for tree in space}) == space.count()
