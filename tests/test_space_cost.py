import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.space.cost import Cost, CostTable, fits
from branchsearch.space.space import Space
from branchsearch.tree import Tree
from tests.generators import trees


@given(trees(), st.data())
def test_a_tree_costs_a_stage_per_branch_and_a_head_per_task(tree: Tree, data: st.DataObject):
    number = st.integers(0, 10**12)
    prices = data.draw(st.lists(number, min_size=len(tree.branches), max_size=len(tree.branches)))
    table = CostTable(
        tuple(Cost(price, 2 * price) for price in prices), dict.fromkeys(tree.tasks, Cost(5, 7))
    )
    branches = sum(price * len(tree.members(stage)) for stage, price in enumerate(prices))
    assert table.of(tree) == Cost(
        branches + 5 * len(tree.tasks), 2 * branches + 7 * len(tree.tasks)
    )


def test_a_budget_bounds_each_cost_it_names():
    cost = Cost(parameters=10, multiply_adds=20)
    assert fits(cost, {})
    assert fits(cost, {"parameters": 10})
    assert not fits(cost, {"parameters": 9})
    assert not fits(cost, {"parameters": 10, "multiply_adds": 19})


def test_only_the_heads_of_a_spaces_own_tasks_count_against_its_budget():
    table = CostTable((Cost(100, 1),), dict.fromkeys("abc", Cost(10, 1)))
    assert Space.of("ab", 1).within(table, {"parameters": 120}).count() == 1
    with pytest.raises(KeyError, match="d"):
        Space.of("abd", 1).within(table, {"parameters": 120})
