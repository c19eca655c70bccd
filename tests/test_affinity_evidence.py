import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from branchsearch.affinity.evidence import Lookahead, comparable, gradient_products
from branchsearch.affinity.gram import gram
from branchsearch.affinity.rsa import RSA
from tests.evidence import features, grams


def test_products_of_gradients_are_in_double():
    gradients = features(0, 3, 1000, torch.float32)
    exact = gradients.double().numpy()
    np.testing.assert_allclose(gradient_products(gradients), exact @ exact.T, rtol=1e-12)
    assert gradient_products(gradients.bfloat16()).dtype == np.float64


def test_a_gradient_that_is_not_finite_is_named():
    gradients = features(0, 3, 10)
    gradients[2, 4] = torch.nan
    with pytest.raises(ValueError, match=r"gradients of tasks \[2\] are NaN or inf"):
        gradient_products(gradients)


def test_images_are_counted_at_every_stage():
    stages = grams(features(0), features(1)) + grams(features(0, 11), features(1, 11))
    with pytest.raises(ValueError, match="task 0 has 12 and task 0 has 11"):
        comparable(stages)
    assert comparable(stages[:1]) == stages[:1]


def test_features_without_a_name_are_called_by_their_numbers():
    stages = [[gram(features(0))] * 2, [gram(features(0)), gram(torch.ones(12, 5))]]
    with pytest.raises(ValueError, match="task 1 at stage 1: features are all equal for images"):
        RSA.values(stages)


@pytest.mark.parametrize("loss", [0.0, -1.0, np.nan, np.inf])
def test_losses_before_are_positive(loss: float):
    before = np.ones((3, 2))
    before[2, 1] = loss
    with pytest.raises(ValueError, match="loss of task 1 for batch 2 is"):
        Lookahead(before, np.ones((4, 3, 2, 2)))


def test_losses_after_are_finite():
    after = np.ones((4, 3, 2, 2))
    after[1, 2, 0, 1] = np.nan
    with pytest.raises(ValueError, match="for batch 2 is nan after a step on task 0's gradient of"):
        Lookahead(np.ones((3, 2)), after)


def test_losses_fit_together():
    with pytest.raises((ValueError, TypeCheckError), match=r"do not fit|parameter .after."):
        Lookahead(np.ones((3, 2)), np.ones((4, 2, 2, 2)))
