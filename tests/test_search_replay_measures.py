"""Numbers from numbers, against others who compute them or by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from branchsearch.search.replay.measures import hypervolume, mean_interval, spearman


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=9))
def test_spearman_is_scipys(pairs: list[tuple[int, int]]):
    one, other = np.array(pairs, float).T
    if np.ptp(one) and np.ptp(other):
        assert spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)
    else:
        assert math.isnan(spearman(one, other))


def test_one_value_has_no_order():
    assert math.isnan(spearman(np.array([1.0]), np.array([1.0])))


def test_hypervolume_by_hand():
    quality, cost = np.array([1.0, 2, 3, 0]), np.array([1.0, 2, 4, 3])
    # from cost 1 to 2 one, from 2 to 4 two, from 4 to 5 three
    assert hypervolume(quality, cost, worst=0, dearest=5) == 1 + 4 + 3
    assert hypervolume(quality, cost, worst=2, dearest=5) == 1
    assert hypervolume(quality, cost, worst=0, dearest=4) == 5


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=6))
def test_hypervolume_counts_what_is_dominated(points: list[tuple[int, int]]):
    quality, cost = np.array(points, float).T
    squares = {(q, c) for top, paid in points for q in range(top) for c in range(paid, 5)}
    assert hypervolume(quality, cost, worst=0, dearest=5) == len(squares)


def test_the_interval_of_a_constant_is_the_constant():
    low, high = mean_interval(np.full((7, 2), 3.0), seed=0)
    assert low.tolist() == high.tolist() == [3, 3]


def test_the_interval_keeps_to_the_range_and_holds_the_mean():
    regret = np.array([0.0] * 9 + [5.0])
    low, high = mean_interval(regret, seed=0)
    assert 0 <= low <= regret.mean() <= high <= 5


def test_the_interval_covers_the_mean_as_often_as_it_says():
    drawn = np.random.default_rng(0).normal(size=(400, 40))
    ends = [mean_interval(sample, seed=0) for sample in drawn]
    covered = np.mean([low <= 0 <= high for low, high in ends])
    assert 0.91 < covered < 0.98
