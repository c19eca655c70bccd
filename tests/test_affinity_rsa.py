"""The first tests are mistakes found in published implementations of these methods."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, spearmanr

from branchsearch.affinity.cka import CKA_DEBIASED
from branchsearch.affinity.gram import gram
from branchsearch.affinity.rsa import RSA, RSA_EUCLIDEAN, RSA_PEARSON
from branchsearch.space.cost import Cost, CostTable
from branchsearch.space.criterion import dissimilarity, ranking
from branchsearch.space.space import Space
from tests.evidence import features, grams


def test_mistake_1_a_triangle_is_compared_without_the_zeros_around_it():
    # with the zeros of the other half, unrelated features would have an affinity of 0.86
    unrelated = [
        RSA.values(grams(features(seed, 40), features(1000 + seed, 40)))[0, 0, 1]
        for seed in range(30)
    ]
    assert abs(np.mean(unrelated)) < 0.02
    assert np.abs(unrelated).max() < 0.2


def test_mistake_2_tasks_that_saw_different_images_are_not_compared():
    stages = grams(features(0), features(1)) + grams(features(0), features(1, images=11))
    for measure in (RSA, RSA_EUCLIDEAN, RSA_PEARSON):
        with pytest.raises(ValueError, match="task 0 has 12 and task 1 has 11"):
            measure.values(stages)
        with pytest.raises(ValueError, match="same probe images"):
            measure.estimate(stages, draws=1, seed=0)


@given(st.integers(0, 2**31), st.integers(2, 4))
def test_mistake_3_spearman_works_on_ranks_and_ties_share_theirs(seed: int, values: int):
    # few different values: many pairs of images are equally far apart
    draw = torch.Generator().manual_seed(seed)
    one, other = (torch.randint(0, values, (9, 6), generator=draw).double() for _ in range(2))
    one[0, 0], other[0, 0] = values, values  # or all images might be one
    rdms = [pdist(task.numpy(), "sqeuclidean") for task in (one, other)]
    assert all(len(set(rdm)) < len(rdm) for rdm in rdms)
    found = RSA_EUCLIDEAN.values(grams(one, other))[0, 0, 1]
    assert found == pytest.approx(spearmanr(*rdms).statistic, abs=1e-6)


def test_mistake_4_identical_networks_have_affinity_1_and_sharing_them_costs_nothing():
    for dtype in (torch.float32, torch.float64):
        stages = [grams(*[features(stage, dtype=dtype)] * 3)[0] for stage in range(2)]
        affinity = RSA.values(stages)
        np.testing.assert_array_equal(affinity, np.ones((2, 3, 3)))
        for tree in Space.of("abc", 2):
            assert dissimilarity(tree, affinity) == 0


def test_mistake_5_without_a_budget_sharing_nothing_wins_so_a_budget_decides():
    affinity = RSA.values([grams(*(features(s + t) for t in range(3)))[0] for s in (0, 10)])
    part = Cost(10, 100)
    costs = CostTable((part, part), dict.fromkeys("abc", part))
    space = Space.of("abc", 2)
    assert str(ranking(space, affinity)[0]) == "a,b,c > a,b,c"
    best = ranking(space.within(costs, {"parameters": 70}), affinity)[0]
    assert best.widths != (3, 3)
    assert dissimilarity(best, affinity) > 0


@given(st.integers(0, 2**31), st.integers(3, 15), st.floats(-10, 10))
def test_affinities_are_what_scipy_says(seed: int, images: int, shift: float):
    tasks = [features(seed + n, images, 5 + 3 * n) + shift for n in range(3)]
    correlation = [pdist(task.numpy(), "correlation") for task in tasks]
    euclidean = [pdist(task.numpy(), "sqeuclidean") for task in tasks]
    stages = grams(*tasks)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert RSA.values(stages)[0, one, other] == pytest.approx(
            spearmanr(correlation[one], correlation[other]).statistic, abs=1e-6
        )
        assert RSA_PEARSON.values(stages)[0, one, other] == pytest.approx(
            pearsonr(correlation[one], correlation[other]).statistic, abs=1e-6
        )
        assert RSA_EUCLIDEAN.values(stages)[0, one, other] == pytest.approx(
            spearmanr(euclidean[one], euclidean[other]).statistic, abs=1e-6
        )


@given(st.integers(0, 2**31))
def test_affinity_does_not_see_scale_shift_or_feature_order(seed: int):
    task = features(seed)
    shuffled = task[:, torch.randperm(task.shape[1], generator=torch.Generator().manual_seed(1))]
    for measure in (RSA, RSA_EUCLIDEAN, RSA_PEARSON):
        found = measure.values(grams(task, 3 * shuffled + 7))
        np.testing.assert_allclose(found, np.ones((1, 2, 2)), atol=1e-12)


def test_correlation_does_not_see_how_bright_and_contrasty_an_image_is():
    task = features(0)
    lit = task * features(1, size=1).exp() + features(2, size=1)
    assert RSA.values(grams(task, lit))[0, 0, 1] == pytest.approx(1)
    assert RSA_EUCLIDEAN.values(grams(task, lit))[0, 0, 1] < 0.9


def test_planted_groups_of_forty_tasks_are_recovered():
    def own(seed: int) -> torch.Tensor:
        return features(seed, 100, 200, torch.float32)

    # ten groups of four, others at each of two stages
    groups = [np.arange(40) // 4, np.arange(40) % 10]
    stages = [
        [gram(own(1000 + 50 * s + t) + own(100 * s + int(g))) for t, g in enumerate(group)]
        for s, group in enumerate(groups)
    ]
    for measure in (RSA, RSA_PEARSON, CKA_DEBIASED):
        for affinity, group in zip(measure.values(stages), groups, strict=True):
            together = group[:, None] == group
            np.fill_diagonal(affinity, 0.0)
            nearest = np.argsort(-affinity, axis=1)[:, :3]
            assert (group[nearest] == group[:, None]).all()
            np.fill_diagonal(together, False)
            apart = ~together & ~np.eye(40, dtype=bool)
            assert affinity[together].min() > affinity[apart].max() + 0.1


def test_single_precision_is_close_to_double():
    tasks = [features(seed, 60, 2000) for seed in range(4)]
    for measure in (RSA, RSA_PEARSON, RSA_EUCLIDEAN):
        single = measure.values(grams(*(task.float() for task in tasks)))
        np.testing.assert_allclose(single, measure.values(grams(*tasks)), atol=1e-5)


def test_culprits_are_named():
    flat = features(1)
    flat[5] = 2.0
    with pytest.raises(ValueError, match=r"task 1: features are all equal for images \[5\]"):
        RSA.values(grams(features(0), flat))
    with pytest.raises(ValueError, match="task 1: every two images are equally alike"):
        RSA.values(grams(features(0), torch.eye(12, dtype=torch.float64)))
    with pytest.raises(ValueError, match="at least 3 probe images, got 2"):
        RSA.values(grams(features(0, 2), features(1, 2)))


def test_three_images_are_enough():
    estimate = RSA.estimate(grams(features(0, 3), features(1, 3)), draws=5, seed=0)
    assert -1 <= estimate.values[0, 0, 1] <= 1
