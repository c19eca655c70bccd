import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.affinity.evidence import gradient_products
from branchsearch.affinity.gradients import GRADIENT_COSINE
from tests.evidence import features


def steps_of(*gradients: torch.Tensor) -> np.ndarray:
    """One stage, a step for each [T, G]."""
    return np.stack([gradient_products(each) for each in gradients])[None]


@given(st.integers(0, 2**31), st.floats(1e-6, 1e6))
def test_it_is_the_mean_cosine_whatever_the_size_of_losses(seed: int, scale: float):
    steps = [features(seed + n, 3, 8) for n in range(4)]
    cosine = torch.nn.functional.cosine_similarity
    expected = np.mean([cosine(step[0], step[2], dim=0).item() for step in steps])
    for step in steps:
        step[2] *= scale
    assert GRADIENT_COSINE.values(steps_of(*steps))[0, 0, 2] == pytest.approx(expected, abs=1e-9)


def test_same_and_opposite_gradients():
    gradient = features(0, 1, 8)
    found = GRADIENT_COSINE.values(steps_of(torch.cat([gradient, 2 * gradient, -gradient])))[0]
    np.testing.assert_allclose(found, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], atol=1e-12)


def test_a_step_without_a_gradient_does_not_count():
    steps = [features(n, 2, 8) for n in range(3)]
    without = steps[1].clone()
    without[1] = 0
    found = GRADIENT_COSINE.estimate(steps_of(steps[0], without, steps[2]), draws=20, seed=0)
    expected = GRADIENT_COSINE.values(steps_of(steps[0], steps[2]))
    np.testing.assert_allclose(found.values, expected)
    assert np.isfinite(found.low).all()


def test_a_task_that_never_has_a_gradient_is_named():
    steps = [features(n, 3, 8) for n in range(3)]
    for step in steps:
        step[1] = 0
    with pytest.raises(ValueError, match="tasks 0 and 1 never had a gradient of stage 0"):
        GRADIENT_COSINE.values(steps_of(*steps))
    with pytest.raises(ValueError, match="task 0 never had a gradient of stage 0"):
        GRADIENT_COSINE.values(steps_of(*(step[1:2] for step in steps)))


def test_products_that_are_not_finite_are_named():
    products = steps_of(*(features(n, 2, 8) for n in range(3)))
    products[0, 2, 0, 1] = np.nan
    with pytest.raises(
        ValueError, match="tasks 0's and 1's gradients of stage 0 for batch 2 is nan"
    ):
        GRADIENT_COSINE.values(products)


def test_one_step_says_nothing_of_how_sure_it_is():
    found = GRADIENT_COSINE.estimate(steps_of(features(0, 2, 8)), draws=20, seed=0)
    assert np.isnan(found.low[0, 0, 1])
    assert np.isnan(found.chance[0, 0, 1])
    assert found.low[0, 0, 0] == 1
