from collections import defaultdict
from collections.abc import Callable
from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.space.beam import beam
from branchsearch.space.cost import Cost, CostTable
from branchsearch.space.points import Point
from branchsearch.space.solver import best, k_best, pareto_front
from branchsearch.space.space import EmptySpace, Space
from branchsearch.space.tables import BranchNumbers, total
from branchsearch.tree import Tree
from tests.test_space_space import spaces

Table = Callable[[int, frozenset[str]], int]


def table(seed: int, low: int = 0, high: int = 9) -> Table:
    """Random small integers, so that equal sums are common."""
    return lambda stage, branch: Random(f"{seed} {stage} {sorted(branch)}").randint(low, high)


def copies(stage: int, _: frozenset[str]) -> int:
    return 1 + 2 * stage


def numbers(point: Point) -> tuple[int | float, ...]:
    cost = point.cost if isinstance(point.cost, tuple) else (point.cost,)
    return (*cost, point.score)


def brute_force(score: BranchNumbers, costs: list[BranchNumbers], space: Space) -> set[tuple]:
    """The numbers of every front, from every tree."""
    every = {(*(total(c, tree) for c in costs), total(score, tree)) for tree in space}
    return {
        one for one in every if not any(all(map(int.__le__, o, one)) for o in every if o != one)
    }


@pytest.mark.parametrize("tasks", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stages", [1, 2, 3, 4])
@pytest.mark.parametrize("cost", ["copies", "any"])
def test_the_front_is_that_of_all_trees(tasks: int, stages: int, cost: str):
    space = Space.of("abcde"[:tasks], stages)
    for seed in range(4):
        score, price = table(seed, -9, 9), copies if cost == "copies" else table(seed + 100)
        front = pareto_front(score, price, space)
        assert [numbers(point) for point in front] == sorted(brute_force(score, [price], space))
        assert all(
            (point.cost, point.score) == (total(price, point.tree), total(score, point.tree))
            and point.tree in space
            for point in front
        )


@given(spaces(), st.integers(0, 2**32))
def test_the_front_keeps_to_limits(space: Space, seed: int):
    score, price = table(seed), table(seed + 1)
    front = pareto_front(score, price, space)
    assert {numbers(point) for point in front} == brute_force(score, [price], space)
    assert all(point.tree in space for point in front)


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 3))
def test_several_costs(seed: int, tasks: int, stages: int):
    space = Space.of("abcd"[:tasks], stages)
    score, costs = table(seed), [table(seed + 1, 0, 4), copies]
    front = pareto_front(score, costs, space)
    assert {numbers(point) for point in front} == brute_force(score, costs, space)


@given(st.integers(0, 2**32), st.integers(0, 60))
def test_a_budget_takes_away_what_is_dearer(seed: int, budget: int):
    space = Space.of("abcd", 3)
    score, price = table(seed), table(seed + 1)
    whole = pareto_front(score, price, space)
    within = pareto_front(score, price, space, budget=budget)
    assert [numbers(p) for p in within] == [numbers(p) for p in whole if p.cost <= budget]
    both = pareto_front(score, [price, copies], space, budget=[budget, 12])
    assert all(p.cost[0] <= budget and p.cost[1] <= 12 for p in both)  # type: ignore[index,operator]


@given(st.integers(0, 2**32))
def test_the_best_score_never_rises_with_the_budget(seed: int):
    space = Space.of("abcde", 3)
    score, price = table(seed), table(seed + 1)
    least = int(pareto_front(price, price, space)[0].cost)  # type: ignore[arg-type]
    scores = [best(score, price, space, budget=least + more).score for more in range(0, 40, 5)]
    assert scores == sorted(scores, reverse=True)


@given(spaces(), st.integers(0, 2**32), st.integers(1, 12), st.none() | st.integers(0, 40))
def test_the_k_best_are_the_first_of_all(space: Space, seed: int, k: int, budget: int | None):
    score, price = table(seed), table(seed + 1)
    allowed = [tree for tree in space if budget is None or total(price, tree) <= budget]
    if not allowed:
        with pytest.raises(EmptySpace):
            k_best(score, price, space, k, budget=budget)
        return
    found = k_best(score, price, space, k, budget=budget)
    every = sorted(total(score, tree) for tree in allowed)
    assert [point.score for point in found] == every[:k]
    assert len({point.tree for point in found}) == len(found)


@given(st.integers(0, 2**32), st.sampled_from([copies, table(7)]))
def test_a_beam_is_never_better_than_the_solver(seed: int, price: Table):
    space, score = Space.of("abcde", 3), table(seed)
    exact = pareto_front(score, price, space)
    for point in beam(score, price, space, width=3):
        assert (point.cost, point.score) == (total(price, point.tree), total(score, point.tree))
        assert any(e.cost <= point.cost and e.score <= point.score for e in exact)


def test_the_wider_beam_finds_most_of_the_front():
    space = Space.of("abcde", 3)
    found = every = 0
    for seed in range(10):
        exact = {numbers(p) for p in pareto_front(table(seed), copies, space)}
        wide = {numbers(p) for p in beam(table(seed), copies, space, width=50)}
        found, every = found + len(exact & wide), every + len(exact)
    assert found >= 0.9 * every


@given(spaces(), st.integers(0, 2**32))
def test_a_beam_keeps_to_limits(space: Space, seed: int):
    assert all(p.tree in space for p in beam(table(seed), copies, space, width=4))


def test_forty_tasks_by_beam():
    space = Space.of([f"t{number:02}" for number in range(40)], 3)

    def strangers(_: int, branch: frozenset[str]) -> int:
        """How many pairs of a branch are of different tens."""
        tens = [sum(task[1] == ten for task in branch) for ten in "0123"]
        return (len(branch) ** 2 - sum(n * n for n in tens)) // 2

    front = beam(strangers, lambda *_: 1, space, width=2)
    assert front[0].tree == Tree.share_all(space.tasks, 3)
    assert (front[-1].cost, front[-1].score) == (12, 0)
    assert {len(branch) for branch in front[-1].tree.members(0)} == {10}


def test_one_task_and_fourteen_tasks():
    one = pareto_front(copies, copies, Space.of(["a"], 3))
    assert [numbers(point) for point in one] == [(9, 9)]
    with pytest.raises(ValueError, match="15 tasks are too many"):
        pareto_front(copies, copies, Space.of([f"t{n}" for n in range(10, 25)], 1))


def test_a_mapping_serves_as_well_and_says_what_it_lacks():
    space = Space.of("ab", 1)
    branches = [frozenset("a"), frozenset("b"), frozenset("ab")]
    score = {(0, branch): len(branch) for branch in branches}
    assert pareto_front(score, score, space)[0].score == 2
    del score[0, frozenset("ab")]
    with pytest.raises(ValueError, match=r"no number is given for branch a\+b at stage 0"):
        pareto_front(score, score, space)
    for value, told in [("nan", "not a number"), ("-inf", "-inf, and no tree could be better")]:
        score[0, frozenset("ab")] = float(value)  # type: ignore[assignment]
        for solve in (pareto_front, beam):
            with pytest.raises(ValueError, match=rf"branch a\+b at stage 0 is {told}"):
                solve(score, score, space)


def test_a_mapping_may_have_a_number_for_all_that_it_lacks():
    space = Space.of("ab", 1)
    assert pareto_front(defaultdict(int), copies, space) == [Point(1, 0, Tree.parse("a+b"))]


def test_an_error_of_a_function_is_its_own():
    def mistaken(_: int, branch: frozenset[str]) -> float:
        return {"a": 1.0}[min(branch) + "typo"]

    with pytest.raises(KeyError, match="atypo"):
        pareto_front(mistaken, copies, Space.of("ab", 1))


def test_an_infinite_score_forbids_a_branch():
    def score(_: int, branch: frozenset[str]) -> float:
        return float("inf") if len(branch) > 2 else 0

    space = Space.of("abc", 1)
    assert best(score, copies, space).tree.widths == (2,)
    assert [point.tree.widths for point in beam(score, copies, space)] == [(2,)]
    assert beam(score, copies, space, budget=1) == []


def test_budgets_that_fit_no_column_are_refused():
    for solve in (pareto_front, best, beam, partial(k_best, k=1)):
        with pytest.raises(ValueError, match="1 costs need as many budgets, not 2"):
            solve(copies, copies, Space.of("ab", 1), budget=[1, 2])
    with pytest.raises(ValueError, match="at least 1, not 0"):
        k_best(copies, copies, Space.of("ab", 1), 0)
    with pytest.raises(EmptySpace, match="budget of 0"):
        best(copies, copies, Space.of("ab", 1), budget=0)


def test_the_costs_of_networks_are_such_tables():
    stages = (Cost(100, 9), Cost(10, 90))
    costs = CostTable(stages, {"a": Cost(1, 5), "b": Cost(2, 6), "c": Cost(3, 7)})
    for tree in Space.of("abc", 2):
        assert total(costs.branch("parameters"), tree) == costs.of(tree).parameters
        assert total(costs.branch("multiply_adds"), tree) == costs.of(tree).multiply_adds
