import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import kendalltau

from branchsearch.affinity.kendall import RSA_KENDALL
from tests.evidence import features, grams


def test_affinities_are_what_scipy_says():
    tasks = [features(seed) for seed in range(3)]
    rdms = [pdist(task.numpy(), "correlation") for task in tasks]
    found = RSA_KENDALL.values(grams(*tasks))[0]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert found[one, other] == pytest.approx(kendalltau(rdms[one], rdms[other])[0], abs=1e-9)


def test_a_resample_holds_every_pair_of_images_as_often_as_it_was_drawn():
    found = RSA_KENDALL.estimate(grams(features(0), features(1)), draws=200, seed=0)
    rsa_width = 0.5  # of 12 unrelated images, about
    assert 0.1 < (found.high - found.low)[0, 0, 1] < 2 * rsa_width
    assert found.chance[0, 0, 1] > 0.05
    assert np.isfinite(found.low).all()
