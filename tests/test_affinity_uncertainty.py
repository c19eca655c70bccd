import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from branchsearch.affinity import rsa
from branchsearch.affinity.cka import CKA_DEBIASED
from branchsearch.affinity.measure import Measure
from branchsearch.affinity.rsa import RSA, RSA_EUCLIDEAN, pair_counts
from branchsearch.affinity.uncertainty import chance_level, interval, resamples
from tests.evidence import features, grams


def test_pairs_of_an_image_with_itself_are_dropped_from_a_resample():
    # every draw, done the long way: images with copies, one by one
    one, other = features(0, 15), features(1, 15) + 0.5 * features(0, 15)
    (stage,) = grams(one, other)
    rdms = [squareform(pdist(task.numpy(), "correlation")) for task in (one, other)]
    found, expected = [], []
    for counts, pairs in zip(
        resamples(15, draws=20, seed=3), pair_counts(stage[0], draws=20, seed=3), strict=True
    ):
        drawn = np.repeat(np.arange(15), counts)
        rows, columns = np.triu_indices(15, 1)
        apart = drawn[rows] != drawn[columns]
        pairs_drawn = drawn[rows[apart]], drawn[columns[apart]]
        expected.append(spearmanr(rdms[0][pairs_drawn], rdms[1][pairs_drawn]).statistic)
        rankings = [rsa.Ranking.of(rsa.one_minus_pearson(task)) for task in stage]
        ranks = torch.stack([ranking.ranks_of_resample(pairs) for ranking in rankings])
        found.append(rsa.products(rsa.unit_rows(ranks, pairs))[0, 1])
        assert pairs.sum() == apart.sum()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("counts", [None, torch.full((7,), 2.0).double()])
def test_a_row_of_equal_numbers_correlates_with_nothing(counts: torch.Tensor | None):
    rows = torch.full((2, 7), 0.1, dtype=torch.float64)  # whose mean is not quite 0.1
    rows[1, 3] = 0.2
    units = rsa.unit_rows(rows, counts)
    assert units[0].isnan().all()
    assert units[1].isfinite().all()


def test_a_resample_has_as_many_images_as_there_are():
    for images in (3, 4, 10):
        for counts in resamples(images, draws=50, seed=0):
            assert counts.sum() == images
            assert (counts > 0).sum() >= 3


@pytest.mark.parametrize("measure", [RSA, CKA_DEBIASED], ids=["rsa", "cka_debiased"])
def test_intervals_hold_the_affinity_of_all_images(measure: Measure):
    # tasks over 3,000 images share half of what they see; 40 of the images at a time are looked at
    common, own = features(0, 3000, 20), [features(seed, 3000, 20) for seed in (1, 2)]
    tasks = [torch.cat([common, each], dim=1) for each in own]
    truth = measure.values(grams(*(task[:1500] for task in tasks)))[0, 0, 1]
    inside = 0
    for number in range(40):
        some = slice(40 * number, 40 * number + 40)
        estimate = measure.estimate(grams(*(task[some] for task in tasks)), draws=100, seed=number)
        inside += estimate.low[0, 0, 1] <= truth <= estimate.high[0, 0, 1]
    assert 33 <= inside <= 40


def test_intervals_narrow_with_the_number_of_images():
    widths = []
    for images in (20, 80, 320):
        tasks = [features(seed, images, 20) + features(9, images, 20) for seed in (0, 1)]
        estimate = RSA.estimate(grams(*tasks), draws=100, seed=0)
        widths.append((estimate.high - estimate.low)[0, 0, 1])
    assert 1.3 < widths[0] / widths[1] < 6
    assert 1.3 < widths[1] / widths[2] < 6


@pytest.mark.parametrize("measure", [RSA, RSA_EUCLIDEAN, CKA_DEBIASED])
def test_chance_levels_of_unrelated_tasks_are_uniform(measure: Measure):
    # also where some images are far from all others, so that pairs depend on each other
    levels = []
    for seed in range(60):
        odd = [features(s, 25, 1).exp() for s in (2000 + seed, 3000 + seed)]
        tasks = [features(4000 + seed, 25) * odd[0], features(5000 + seed, 25) * odd[1]]
        levels.append(measure.estimate(grams(*tasks), draws=60, seed=seed).chance[0, 0, 1])
    assert 0.38 < np.mean(levels) < 0.62
    assert np.mean(np.array(levels) < 0.1) < 0.22


def test_permuting_pairs_instead_of_images_would_call_chance_a_finding():
    # images differ in brightness, to each task in its own way
    alarms = 0
    for seed in range(40):
        odd = features(seed, 12, 1).exp(), features(500 + seed, 12, 1).exp()
        tasks = [features(900 + seed, 12, 40) * odd[0], features(700 + seed, 12, 40) * odd[1]]
        rdms = [pdist(task.numpy(), "sqeuclidean") for task in tasks]
        found = abs(spearmanr(*rdms).statistic)
        random = np.random.default_rng(seed)
        wrong = [abs(spearmanr(random.permutation(rdms[0]), rdms[1])[0]) for _ in range(60)]
        alarms += np.mean(np.array(wrong) >= found) < 0.05
    assert alarms > 8  # of 40; 2 would be right
    ours = 0
    for seed in range(40):
        odd = features(seed, 12, 1).exp(), features(500 + seed, 12, 1).exp()
        tasks = [features(900 + seed, 12, 40) * odd[0], features(700 + seed, 12, 40) * odd[1]]
        ours += RSA_EUCLIDEAN.estimate(grams(*tasks), draws=60, seed=seed).chance[0, 0, 1] < 0.05
    assert ours <= 6


def test_identical_tasks_are_never_chance():
    estimate = RSA.estimate(grams(features(0, 30), features(0, 30)), draws=99, seed=0)
    assert estimate.chance[0, 0, 1] == pytest.approx(1 / 199)
    assert estimate.low[0, 0, 1] > 1 - 1e-5


def test_chance_counts_by_hand():
    # two images more alike than any others to both tasks: found again in 1 of 3 renumberings
    unit = torch.tensor([[2.0, -1, -1], [2, -1, -1]], dtype=torch.float64) / 6**0.5
    level = chance_level(unit, torch.triu_indices(3, 3, 1), images=3, draws=600, seed=0)
    assert level[0, 1] == pytest.approx(1 / 3, abs=0.06)


def test_an_interval_is_the_middle_of_the_draws_and_holds_the_value():
    draws = [np.full((1, 1), share) for share in np.linspace(0, 1, 1001)]
    low, high = interval(np.full((1, 1), 0.5), [*draws, np.full((1, 1), np.nan)])
    assert (low[0, 0], high[0, 0]) == pytest.approx((0.025, 0.975))
    low, high = interval(np.full((1, 1), 2.0), draws)
    assert (low[0, 0], high[0, 0]) == pytest.approx((0.025, 2.0))
    assert np.isnan(interval(np.zeros((1, 1)), [np.full((1, 1), np.nan)])).all()
