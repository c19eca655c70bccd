import numpy as np
import pytest

from branchsearch.affinity.scale import is_known, mutual, scale_end
from tests.report_findings import affinity, random_affinity

RSA = random_affinity("abc", 2, 0, "rsa")
TAG = random_affinity("abc", 2, 0, "tag")


def test_correlations_keep_their_scale():
    assert scale_end(RSA) == 1
    np.testing.assert_array_equal(mutual(RSA), RSA.estimate.values)


def test_small_numbers_and_percents_are_brought_to_one():
    for times in (1, 1e4):
        other = affinity("abc", TAG.estimate.values * times)
        between = np.abs(other.estimate.values[:, ~np.eye(3, dtype=bool)])
        assert scale_end(other) == pytest.approx(between.max())
        both = mutual(other)
        np.testing.assert_allclose(both, both.swapaxes(1, 2))
        np.testing.assert_allclose(both, mutual(TAG))
        assert np.abs(both[:, ~np.eye(3, dtype=bool)]).max() <= 1


def test_a_task_alone_and_nothing_gained_end_at_one():
    assert scale_end(affinity("a", np.full((2, 1, 1), 0.3))) == 1
    assert scale_end(affinity("ab", np.zeros((2, 2, 2)))) == 1


def test_a_diagonal_alone_says_nothing_of_two_tasks():
    part = np.full((1, 2, 2), np.nan)
    part[:, [0, 1], [0, 1]] = 1.0
    two = affinity("ab", np.ones((1, 2, 2)))
    assert not is_known(two, part)
    part[0, 0, 1] = 0.5
    assert is_known(two, part)
