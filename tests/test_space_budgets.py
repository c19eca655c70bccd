"""Budgets of numbers that do not add up exactly, budgets that are none, and no budget."""

import math
from collections.abc import Callable
from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.space.beam import beam
from branchsearch.space.solver import best, k_best, pareto_front
from branchsearch.space.space import Space
from branchsearch.space.tables import total

Table = Callable[[int, frozenset[str]], float]
SPACE = Space.of("abcd", 2)


def tenths(seed: int) -> Table:
    """Many trees cost the same, but for the last digits of their sums."""
    return lambda stage, branch: Random(f"{seed} {stage} {sorted(branch)}").randint(1, 9) / 10


def any_floats(seed: int) -> Table:
    return lambda stage, branch: Random(f"{seed} {stage} {sorted(branch)}").random()


def copies(stage: int, _: frozenset[str]) -> float:
    return (stage + 1) / 10


@given(
    st.integers(0, 2**32),
    st.sampled_from([tenths, any_floats, lambda _: copies]),
    st.integers(0, SPACE.count() - 1),
    st.integers(1, 4),
)
def test_a_tree_at_the_budget_is_within_it_and_none_above(
    seed: int, prices: Callable[[int], Table], rank: int, k: int
):
    score, price = any_floats(seed), prices(seed + 1)
    budget = total(price, SPACE.unrank(rank))
    every = sorted(total(score, tree) for tree in SPACE if total(price, tree) <= budget)
    front = pareto_front(score, price, SPACE, budget=budget)
    first = k_best(score, price, SPACE, k, budget=budget)
    assert min(point.score for point in front) == pytest.approx(every[0], abs=1e-12)
    assert [point.score for point in first] == pytest.approx(every[:k], abs=1e-12)
    assert all(point.cost <= budget for point in front + first)  # type: ignore[operator]


def test_three_tenths_are_not_a_tenth_and_two():
    # 0.1 + 0.2 is above 0.3 in the last digit: the better tree is not within the budget
    prices = {(0, frozenset("ab")): 0.3, (0, frozenset("a")): 0.1, (0, frozenset("b")): 0.2}
    for solve in (pareto_front, beam, partial(k_best, k=2)):
        found = solve(lambda _, branch: len(branch) ** 2, prices, Space.of("ab", 1), budget=0.3)
        assert [str(point.tree) for point in found] == ["a+b"]


@pytest.mark.parametrize("solve", [pareto_front, best, beam, partial(k_best, k=1)])
@pytest.mark.parametrize("none", [math.nan, -math.inf])
def test_budgets_that_are_no_numbers_are_refused(solve: Callable[..., object], none: float):
    for budget in (none, [none]):
        with pytest.raises(ValueError, match=f"a budget is a finite number, or None .* {none}"):
            solve(copies, [copies], SPACE, budget=budget)


@pytest.mark.parametrize("solve", [pareto_front, best, beam, partial(k_best, k=3)])
def test_one_of_several_costs_may_have_no_budget(solve: Callable[..., object]):
    costs = [tenths(0), copies]
    some, unbounded = ([1.5, most] for most in (None, math.inf))
    found = solve(any_floats(1), costs, SPACE, budget=some)
    assert found == solve(any_floats(1), costs, SPACE, budget=unbounded)
    assert solve(any_floats(1), costs, SPACE, budget=[None, None]) == solve(
        any_floats(1), costs, SPACE
    )
