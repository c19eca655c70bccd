from collections import Counter
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from branchsearch.space.space import Space
from branchsearch.tree import Tree
from tests.generators import trees


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    tasks = draw(st.integers(1, 4))
    may_split = draw(st.lists(st.booleans(), min_size=1, max_size=3))
    return Space(tuple("abcd"[:tasks]), tuple(may_split))


def all_trees(tasks: str, stages: int) -> set[Tree]:
    """Every tree, from every choice of labels: slow, and with nothing of the space's in it."""
    rows = list(product(range(len(tasks)), repeat=len(tasks)))
    found = set()
    for labels in product(rows, repeat=stages):
        try:
            found.add(Tree.from_labels(tasks, labels))
        except ValueError:
            continue
    return found


@pytest.mark.parametrize(("tasks", "stages"), [("abc", 3), ("abcd", 1), ("ab", 4), ("a", 2)])
def test_listing_finds_every_tree_once(tasks: str, stages: int):
    listed = list(Space.of(tasks, stages))
    assert len(listed) == len(set(listed))
    assert set(listed) == all_trees(tasks, stages)


@given(spaces())
def test_a_space_holds_what_it_lists_and_counts(space: Space):
    listed = list(space)
    assert len(set(listed)) == len(listed) == space.count() == len(space)
    held = {tree for tree in Space.of(space.tasks, space.stages) if tree in space}
    assert held == set(listed)


@given(spaces())
def test_branches_part_only_where_they_may(space: Space):
    for tree in space:
        widths = (1, *tree.widths)
        parts_at = [widths[stage] != widths[stage + 1] for stage in range(space.stages)]
        assert not any(
            parts and not may for parts, may in zip(parts_at, space.may_split, strict=True)
        )


@given(spaces())
def test_the_extremes_share_most_and_least(space: Space):
    most, least = space.extremes()
    assert most in space
    assert least in space
    for tree in space:
        pairs = zip(most.widths, tree.widths, least.widths, strict=True)
        assert all(few <= width <= many for few, width, many in pairs)


@given(spaces())
def test_free_stages_stand_for_all(space: Space):
    if space.free_stages:
        for tree in space:
            assert space.widen(space.narrow(tree)) == tree


def test_the_first_tree_shares_all():
    assert next(iter(Space.of("abcd", 3))) == Tree.share_all("abcd", 3)


def test_sampling_is_uniform_over_trees():
    space, random = Space.of("abc", 3), Random(5)
    drawn = Counter(space.sample(random) for _ in range(22 * 200))
    assert len(drawn) == space.count()
    assert chisquare(list(drawn.values())).pvalue > 0.001


@given(spaces(), st.integers(0, 2**32))
def test_samples_are_in_the_space(space: Space, seed: int):
    assert space.sample(Random(seed)) in space


def test_forty_tasks_can_be_drawn():
    space = Space.of([f"t{number:02}" for number in range(40)], 5)
    assert space.sample(Random(0)) in space


@given(trees())
def test_a_tree_of_other_tasks_is_not_in_the_space(tree: Tree):
    assert tree not in Space.of([*tree.tasks, "zz"], len(tree.branches))
    assert tree not in Space.of(tree.tasks, len(tree.branches) + 1)


def test_unsorted_tasks_are_refused():
    with pytest.raises(ValueError, match="not sorted"):
        Space(("b", "a"), (True,))
