from itertools import product

import pytest
from hypothesis import given

from branchsearch.space.encoding import decode, encode
from branchsearch.space.space import Space
from branchsearch.tree import Tree
from tests.generators import trees


@given(trees())
def test_encoding_round_trips(tree: Tree):
    assert decode(tree.tasks, len(tree.branches), *encode(tree)) == tree


@pytest.mark.parametrize(("tasks", "stages"), [("ab", 4), ("abc", 3), ("abcd", 2)])
def test_every_tree_is_reached(tasks: str, stages: int):
    mates = product(*(range(task) for task in range(1, len(tasks))))
    depths = list(product(range(stages + 1), repeat=len(tasks) - 1))
    reached = {decode(tasks, stages, m, d) for m, d in product(mates, depths)}
    assert reached == set(Space.of(tasks, stages))
