"""The nearest tree that is left, and how a table is a problem."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.measure import Estimate
from branchsearch.search.replay.affinities import read_affinity
from branchsearch.search.replay.nearest import Nearest, distance
from branchsearch.search.replay.synthetic import plant
from branchsearch.search.replay.synthetic import table_of as made_up
from branchsearch.search.replay.table import CannotReplay
from branchsearch.search.replay.tabled import problem_of
from branchsearch.space.limits import shared_stages
from branchsearch.space.space import Space
from branchsearch.tree import Tree
from tests.generators import trees
from tests.replaying import FIVE, QUALITY, table_of

SPACE = Space.of("abcd", 3)
ALL = list(SPACE)


@given(st.sampled_from(ALL), st.sampled_from(ALL))
def test_distance_counts_stages_at_which_a_pair_shares_in_one_tree_alone(one: Tree, other: Tree):
    # branches only split, so the stages that a pair shares in both are those of the shorter walk
    pairs = [(a, b) for a in "abcd" for b in "abcd" if a < b]
    by_hand = sum(abs(shared_stages(one, *p) - shared_stages(other, *p)) for p in pairs)
    assert distance(one, other) == distance(other, one) == by_hand


@given(trees())
def test_a_tree_is_nowhere_but_at_itself(tree: Tree):
    assert distance(tree, tree) == 0


def test_many_pairs_fit_into_words():
    tasks = [f"t{number:02}" for number in range(20)]
    apart, together = Tree.share_none(tasks, 4), Tree.share_all(tasks, 4)
    assert distance(apart, together) == 4 * 190


@given(st.sets(st.sampled_from(ALL), min_size=1), st.sampled_from(ALL), st.integers(0, 9))
def test_none_that_is_left_is_nearer_than_the_nearest(left: set[Tree], tree: Tree, seed: int):
    mask = np.array([other in left for other in ALL])
    found = ALL[Nearest(ALL).find(tree, mask, np.random.default_rng(seed))]
    assert found in left
    assert distance(found, tree) == min(distance(other, tree) for other in left)


def test_ties_are_broken_by_the_seed_and_fairly():
    together = Tree.share_all("abc", 1)
    trees = [tree for tree in Space.of("abc", 1) if tree.widths == (2,)]
    near, everything = Nearest(trees), np.full(3, True)
    found = [near.find(together, everything, np.random.default_rng(seed)) for seed in range(300)]
    again = [near.find(together, everything, np.random.default_rng(seed)) for seed in range(300)]
    assert found == again
    assert min(Counter(found).values()) > 60


def test_a_table_lists_its_trees_and_says_where_branches_part(tmp_path: Path):
    text = 'tree,score:a,score:b\na+b > a+b,0,0\n"a+b > a,b",0,0\n'
    problem = problem_of(table_of(text, tmp_path))
    assert problem.space.may_split == (False, True)
    assert [str(tree) for tree in problem.allowed] == ["a+b > a+b", "a+b > a,b"]
    assert not problem.allows(Tree.share_none("ab", 2))


def test_costs_that_add_up_are_found_again():
    made = plant(4, 3, seed=0)
    problem = problem_of(made_up(made, seeds=1, seed=0))
    assert all(problem.cost(tree) == made.problem.cost(tree) for tree in made.problem.space)


def test_costs_add_up_where_a_stage_never_splits(tmp_path: Path):
    text = 'tree,score:a,score:b,cost:parameters\na+b > a+b,0,0,7\n"a+b > a,b",0,0,11\n'
    problem = problem_of(table_of(text, tmp_path))
    assert [problem.cost(tree).parameters for tree in problem.allowed] == [7, 11]


def test_costs_that_are_not_there_are_0(tmp_path: Path):
    problem = problem_of(table_of(FIVE.replace("cost:parameters", "cost:latency"), tmp_path))
    assert {problem.cost(Tree.parse(text)).parameters for text in QUALITY} == {0}


def test_an_affinity_is_read_in_the_order_of_the_tables_tasks(tmp_path: Path):
    values = np.eye(3)[None].copy()
    values[0, 0, 1] = values[0, 1, 0] = 0.5  # b and a
    values[0, 0, 2] = 0.2  # b and c, one way
    path = tmp_path / "affinity.npz"
    Affinity("rsa", ("b", "a", "c"), Estimate(values, values, values, values)).save(path)
    [found] = read_affinity(path, table_of(FIVE, tmp_path))
    assert found.tolist() == [[1, 0.5, 0], [0.5, 1, 0.1], [0, 0.1, 1]]


def test_an_affinity_has_to_fit(tmp_path: Path):
    with pytest.raises(CannotReplay, match="does not fit"):
        problem_of(table_of(FIVE, tmp_path), np.zeros((2, 3, 3)))
