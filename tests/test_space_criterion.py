import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.affinity.two_task import additive_score, two_task
from branchsearch.space import lattice, program
from branchsearch.space.beam import beam
from branchsearch.space.criterion import (
    FORMS,
    dissimilarity,
    mean_of_worst,
    ranking,
    sum_of_gains,
    sum_of_worst,
    worst_pair,
)
from branchsearch.space.lattice import best_per_widths, widths_front
from branchsearch.space.limits import Bound, Limits
from branchsearch.space.space import Space
from branchsearch.space.stagewise import StageScore
from branchsearch.tree import Tree
from tests.generators import trees
from tests.test_space_space import spaces


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
    assert dissimilarity(tree, affinity, weights=[2, 10]) == pytest.approx(1.6 + 0.5)


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
    costs = [dissimilarity(tree, affinity) for tree in ranking(space, affinity)]
    assert len(costs) == 12
    assert costs == pytest.approx(sorted(costs))
    alike = ranking(space, np.ones((2, 3, 3)))
    assert alike[0] == Tree.share_all("abc", 2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_two_tasks_without_an_affinity_are_named(form: str, value: float):
    affinity = random_affinity(3, 2, seed=0)
    affinity[1, 0, 2] = value
    affinity[1, 1, 1] = np.nan  # a task is not compared with itself
    with pytest.raises(ValueError, match=r"affinity of a and c at stage 1 is -?(nan|inf)"):
        ranking(Space.of("abc", 2), affinity, form=form)
    affinity[1, 0, 2] = 0
    assert len(ranking(Space.of("abc", 2), affinity, form=form)) == 12


def test_an_affinity_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 2, 2\)"):
        dissimilarity(Tree.parse("a+b > a,b"), np.ones((1, 2, 2)))
    with pytest.raises(ValueError, match=r"shape \(1, 2, 2\) does not fit 2 tasks over 2 stages"):
        ranking(Space.of("ab", 2), np.ones((1, 2, 2)))


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0, 1.0], [1.0, np.nan]])
def test_weights_that_fit_no_stages_are_refused(weights: list[float]):
    with pytest.raises(ValueError, match="2 finite weights are needed, one a stage"):
        dissimilarity(Tree.parse("a+b > a,b"), np.ones((2, 2, 2)), weights)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weights", [None, [3.0, 0.0, 1.0]])
def test_the_criterion_is_solved_exactly(seed: int, weights: list[float] | None):
    space = Space.of("abcde", 3)  # 1,304 trees
    affinity, prices = random_affinity(5, 3, seed), (1, 3, 7)
    least: dict[int, float] = {}
    for tree in space:
        cost = sum(p * w for p, w in zip(prices, tree.widths, strict=True))
        found = dissimilarity(tree, affinity, weights)
        least[cost] = min(found, least.get(cost, np.inf))
    expected: list[tuple[int, float]] = []
    for cost in sorted(least):
        if not expected or least[cost] < expected[-1][1] - 1e-12:
            expected.append((cost, least[cost]))
    front = widths_front(mean_of_worst(space.tasks, affinity, weights), prices, space)
    assert [cost for cost, _ in expected] == [point.cost for point in front]
    assert [point.score for point in front] == pytest.approx([score for _, score in expected])
    assert all(dissimilarity(p.tree, affinity, weights) == pytest.approx(p.score) for p in front)


@given(spaces(), st.integers(0, 99))
def test_every_sequence_of_widths_has_its_best_tree(space: Space, seed: int):
    affinity = random_affinity(len(space.tasks), space.stages, seed)
    score = mean_of_worst(space.tasks, affinity)
    least: dict[tuple[int, ...], float] = {}
    for tree in space:
        least[tree.widths] = min(score.of(tree), least.get(tree.widths, np.inf))
    found = best_per_widths(score, (1,) * space.stages, space)
    assert {point.tree.widths: point.score for point in found} == pytest.approx(least)
    assert all(point.tree in space for point in found)


def test_any_function_of_a_stages_branches_will_do():
    space = Space.of("abcd", 2)
    spread = StageScore(
        lambda _, branch: len(branch), lambda stage, sizes: max(sizes) - min(sizes) + stage
    )
    least = {tree.widths: spread.of(tree) for tree in space}
    for tree in space:
        least[tree.widths] = min(least[tree.widths], spread.of(tree))
    found = best_per_widths(spread, (1, 1), space)
    assert {point.tree.widths: point.score for point in found} == least


@given(st.integers(0, 99))
def test_a_beam_comes_close_to_the_criterions_optimum_and_never_below(seed: int):
    space = Space.of("abcde", 3)
    score = mean_of_worst(space.tasks, random_affinity(5, 3, seed))
    exact = {p.cost: p.score for p in widths_front(score, (1, 2, 4), space)}
    for point in beam(score, lambda stage, _: 2**stage, space, width=30):
        at_most = min(s for cost, s in exact.items() if cost <= point.cost)  # type: ignore[operator]
        assert at_most - 1e-9 <= point.score <= at_most + 0.1


@pytest.mark.parametrize(
    ("form", "tasks", "stages"),
    # exactly, and with more tasks than that is done for
    [
        ("mean", 8, 4),
        ("sum", 8, 4),
        ("mean", lattice.MOST_TASKS + 1, 2),
        ("sum", program.MOST_TASKS + 1, 2),
    ],
)
def test_large_spaces_are_ranked_by_their_best_trees(form: str, tasks: int, stages: int):
    names = [f"t{number:02}" for number in range(tasks)]
    budget = Bound("copies", (1,) * stages, 0, 2 * tasks)
    space = Space.of(names, stages, Limits(bounds=(budget,)))
    affinity = random_affinity(tasks, stages, seed=tasks)
    trees = ranking(space, affinity, form=form)
    scores = [FORMS[form](names, affinity).of(tree) for tree in trees]
    assert len(set(trees)) == len(trees) > 5
    assert scores == pytest.approx(sorted(scores))
    assert all(tree in space for tree in trees)


def test_the_forms_differ_by_the_number_of_branches():
    tree = Tree.parse("a+b,c+d > a,b,c+d")
    affinity = random_affinity(4, 2, seed=0)
    worst = worst_pair(tree.tasks, affinity)
    pairs = [worst(0, frozenset("ab")), worst(0, frozenset("cd")), worst(1, frozenset("cd"))]
    assert sum_of_worst(tree.tasks, affinity).of(tree) == pytest.approx(sum(pairs))
    mean = (pairs[0] + pairs[1]) / 2 + pairs[2] / 3
    assert mean_of_worst(tree.tasks, affinity).of(tree) == pytest.approx(mean)


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="one of mean, sum, gain, not 'max'"):
        ranking(Space.of("ab", 1), np.ones((1, 2, 2)), form="max")


def test_too_many_tasks_for_partitions_are_refused():
    space = Space.of([f"t{number}" for number in range(10, 21)], 1)
    with pytest.raises(ValueError, match="11 tasks have too many partitions"):
        best_per_widths(mean_of_worst(space.tasks, random_affinity(11, 1, 0)), (1,), space)


def test_gains_rank_trees_as_two_task_trainings_do():
    tasks, stages = 4, 3
    gains = np.random.default_rng(0).normal(size=(stages + 1, tasks, tasks))
    affinity = two_task(gains)
    by_branch = additive_score(affinity)
    space = Space.of("abcd", stages)
    score = sum_of_gains(space.tasks, affinity)

    def estimated(tree: Tree) -> float:
        return sum(
            by_branch(stage, [tree.tasks.index(task) for task in branch])
            for stage in range(stages)
            for branch in tree.members(stage)
        )

    for tree in space:
        # pairs are counted both ways there, and divided by a task's partners
        assert estimated(tree) == pytest.approx(-score.of(tree) * 2 / (tasks - 1))
    best = ranking(space, affinity, form="gain")
    assert estimated(best[0]) == pytest.approx(max(map(estimated, space)))
