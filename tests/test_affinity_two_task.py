import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.affinity.completion import complete
from branchsearch.affinity.two_task import TWO_TASK, additive_score, apart
from branchsearch.space.space import Space
from branchsearch.tree import Tree
from tests.generators import trees


def additive(seed: int, tasks: int, stages: int, noise: float) -> np.ndarray:
    """Gains by how much a task likes to share, how good a partner is, and each pair's own."""
    random = np.random.default_rng(seed)
    own, partner = random.normal(size=(tasks, 1)), random.normal(size=(1, tasks))
    pair = random.normal(size=(tasks, tasks)) / 2
    depth = np.linspace(0, 1, stages + 1)[:, None, None]
    gains = depth * (own + partner + (pair + pair.T) / 2)
    return gains + noise * random.normal(size=gains.shape)


def by_pairs(tree: Tree, gains: np.ndarray) -> float:
    """TreeMTL's estimate, pair by pair."""
    rows, tasks = tree.branches, range(len(tree.tasks))
    total = 0.0
    for task in tasks:
        beside = [
            gains[sum(row[task] == row[partner] for row in rows), task, partner]
            for partner in tasks
            if partner != task
        ]
        total += sum(beside) / max(1, len(beside))
    return total


@given(trees(), st.integers(0, 2**31))
def test_a_trees_score_is_the_two_task_estimate(tree: Tree, seed: int):
    tasks, stages = len(tree.tasks), len(tree.branches)
    gains = np.random.default_rng(seed).normal(size=(stages + 1, tasks, tasks))
    score = additive_score(TWO_TASK.values(gains))
    total = apart(gains)
    for stage, row in enumerate(tree.branches):
        for branch in set(row):
            total += score(stage, [t for t in range(tasks) if row[t] == branch])
    assert total == pytest.approx(by_pairs(tree, gains), abs=1e-9)


def test_the_best_tree_shares_exactly_what_helps():
    gains = np.zeros((3, 3, 3))
    gains[1:, [0, 1], [1, 0]] = 1.0  # a and b gain by sharing the first stage, c never
    gains[2, [0, 1], [1, 0]] = 0.5
    gains[1:, 2, :2] = gains[1:, :2, 2] = -1.0
    score = additive_score(TWO_TASK.values(gains))
    found = max(
        Space.of("abc", 2),
        key=lambda tree: sum(
            score(stage, [t for t in range(3) if row[t] == branch])
            for stage, row in enumerate(tree.branches)
            for branch in set(row)
        ),
    )
    assert str(found) == "a+b,c > a,b,c"


def test_what_was_measured_is_kept():
    gains = additive(0, 5, 3, 0.1)
    gains[1, 2, 3] = np.nan
    completed = complete(gains).gains
    known = np.isfinite(gains) & ~np.eye(5, dtype=bool)
    np.testing.assert_array_equal(completed[known], gains[known])
    assert np.isfinite(completed).all()


def test_missing_pairs_and_depths_are_filled_in_better_than_by_a_mean():
    errors, by_mean = [], []
    for seed in range(4):
        whole = additive(seed, 7, 4, 0.05)
        gains = whole.copy()
        random = np.random.default_rng(seed)
        for one in range(7):
            for other in range(one):  # a pair's network gives both tasks' gains, or was not trained
                for depth in range(5):
                    if random.random() < 0.5:
                        gains[depth, [one, other], [other, one]] = np.nan
        missing = np.isnan(gains) & ~np.eye(7, dtype=bool)
        completed = complete(gains).gains
        errors.append(np.abs(completed - whole)[missing].mean())
        means = np.nanmean(gains, axis=(1, 2))[:, None, None]
        by_mean.append(np.abs(means - whole)[missing].mean())
    assert np.mean(errors) < np.mean(by_mean) / 4


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    inside = []
    for seed in range(8):
        truth = additive(seed, 6, 3, 0.0)
        gains = truth + 0.1 * np.random.default_rng(seed).normal(size=truth.shape)
        gains[np.random.default_rng(seed).random(gains.shape) < 0.3] = np.nan
        estimate = TWO_TASK.estimate(gains, draws=1, seed=0)
        apart_ = ~np.eye(6, dtype=bool)
        steps = np.diff(truth, axis=0)
        inside.append(((estimate.low <= steps) & (steps <= estimate.high))[:, apart_].mean())
    assert 0.9 < np.mean(inside) <= 1


def test_missing_entries_are_less_sure():
    gains = additive(1, 6, 3, 0.1)
    gains[:, 2, 4] = gains[:, 4, 2] = np.nan
    estimate = TWO_TASK.estimate(gains, draws=1, seed=0)
    width = (estimate.high - estimate.low).mean(axis=0)
    others = ~np.eye(6, dtype=bool)
    others[[2, 4], [4, 2]] = False
    assert width[2, 4] > 1.5 * width[others].mean()


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_gains_that_are_all_equal(value: float):
    estimate = TWO_TASK.estimate(np.full((3, 4, 4), value), draws=1, seed=0)
    np.testing.assert_allclose(estimate.values, 0, atol=1e-9)


def test_gains_that_cannot_be_used_are_refused():
    with pytest.raises(ValueError, match="no gain of any two tasks was measured"):
        TWO_TASK.values(np.full((3, 4, 4), np.nan))
    with pytest.raises(ValueError, match="depths 0 to S"):
        TWO_TASK.values(np.zeros((1, 4, 4)))
    gains = np.zeros((3, 4, 4))
    gains[1, 2, 3] = np.inf
    with pytest.raises(ValueError, match="task 2 beside task 3 at depth 1 is infinite"):
        TWO_TASK.values(gains)
