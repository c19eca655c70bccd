import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.space.criterion import dissimilarity, ranked
from branchsearch.space.space import Space
from branchsearch.tree import Tree
from tests.generators import trees


def random_affinity(tasks: int, stages: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).uniform(-1, 1, (stages, tasks, tasks))
    affinity = (drawn + drawn.transpose(0, 2, 1)) / 2
    affinity[:, range(tasks), range(tasks)] = 1
    return affinity


def test_a_tree_by_hand():
    affinity = np.array([[[1, 0.9, 0.2], [0.9, 1, 0.4], [0.2, 0.4, 1]]] * 2)
    # all in one branch: worst pair 0.8; then a+b at 0.1 beside c alone, the mean of two branches
    tree = Tree.parse("a+b+c > a+b,c")
    assert dissimilarity(tree, affinity) == pytest.approx(0.8 + 0.1 / 2)


@given(trees(), st.integers(0, 99))
def test_sharing_nothing_costs_nothing(tree: Tree, seed: int):
    tasks, stages = tree.tasks, len(tree.branches)
    affinity = random_affinity(len(tasks), stages, seed)
    assert dissimilarity(Tree.share_none(tasks, stages), affinity) == 0


@given(trees())
def test_identical_networks_cost_nothing_however_they_share(tree: Tree):
    alike = np.ones((len(tree.branches), len(tree.tasks), len(tree.tasks)))
    assert dissimilarity(tree, alike) == 0


def test_ranking_puts_the_least_dissimilar_first_and_shares_among_equals():
    space = Space.of("abc", 2)
    affinity = random_affinity(3, 2, seed=1)
    costs = [dissimilarity(tree, affinity) for tree in ranked(space, affinity)]
    assert costs == pytest.approx(sorted(costs))
    alike = ranked(space, np.ones((2, 3, 3)))
    assert alike[0] == Tree.share_all("abc", 2)


def test_an_affinity_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 2, 2\)"):
        dissimilarity(Tree.parse("a+b > a,b"), np.ones((1, 2, 2)))
