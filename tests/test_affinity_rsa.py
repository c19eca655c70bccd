import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from branchsearch.affinity.rsa import image_dissimilarity, task_affinity


def features(seed: int, images: int = 8, size: int = 5) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(images, size, generator=draw, dtype=torch.float64)


@given(st.integers(0, 2**31), st.integers(2, 5))
def test_affinity_is_a_correlation_matrix(seed: int, tasks: int):
    affinity = task_affinity([features(seed + task) for task in range(tasks)])
    torch.testing.assert_close(affinity, affinity.T)
    torch.testing.assert_close(affinity.diagonal(), torch.ones(tasks, dtype=torch.float64))
    assert (affinity.abs() <= 1).all()


@given(st.integers(0, 2**31), st.booleans())
def test_affinity_is_what_scipy_says_ties_included(seed: int, coarse: bool):
    tasks = [features(seed), features(seed + 1, size=7)]
    if coarse:  # few different values give equal dissimilarities
        tasks = [task.sign() + torch.arange(task.shape[1]) for task in tasks]
    rdms = [pdist(task.numpy(), "correlation").round(12) for task in tasks]
    ours = spearmanr(image_dissimilarity(tasks[0]).numpy().round(12), rdms[0]).statistic
    assert ours == pytest.approx(1)
    if not coarse:
        expected = spearmanr(*rdms).statistic
        assert task_affinity(tasks)[0, 1].item() == pytest.approx(expected, abs=1e-6)


def test_ties_share_their_mean_rank():
    # rows 0 and 1 point the same way, rows 2 and 3 too: two dissimilarities are equal, four are
    pairs = torch.tensor([[1.0, 2, 4], [2, 4, 8], [3, 1, 2], [6, 2, 4]], dtype=torch.float64)
    other = features(3, images=4)
    rdms = [pdist(task.numpy(), "correlation").round(9) for task in (pairs, other)]
    expected = spearmanr(*rdms).statistic
    rounded = [image_dissimilarity(task).round(decimals=9) for task in (pairs, other)]
    assert len(set(rounded[0].tolist())) < len(rounded[0])
    assert task_affinity([pairs, other])[0, 1].item() == pytest.approx(expected, abs=0.15)


@given(st.integers(0, 2**31))
def test_affinity_does_not_see_scale_shift_or_feature_order(seed: int):
    task = features(seed)
    twin = 3 * task[:, torch.randperm(task.shape[1])] + 7
    one = torch.tensor(1.0, dtype=torch.float64)
    torch.testing.assert_close(task_affinity([task, twin])[0, 1], one)


def test_independent_features_have_no_affinity():
    # a triangle flattened with its zeros would give 0.86 here
    chance = [
        task_affinity([features(seed, 40, 30), features(1000 + seed, 40, 30)])[0, 1].item()
        for seed in range(20)
    ]
    assert abs(np.mean(chance)) < 0.02


def test_identical_networks_have_affinity_one():
    affinity = task_affinity([features(0)] * 3)
    torch.testing.assert_close(affinity, torch.ones(3, 3, dtype=torch.float64))


def test_single_precision_is_close_to_double():
    tasks = [features(seed, 30, 200) for seed in range(3)]
    single = task_affinity([task.float() for task in tasks])
    torch.testing.assert_close(single, task_affinity(tasks), atol=1e-4, rtol=0)


def test_dissimilarity_of_three_images_by_hand():
    # rows 0 and 1 rise together (r = 1), row 2 falls (r = -1)
    rows = torch.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0]])
    torch.testing.assert_close(image_dissimilarity(rows), torch.tensor([0.0, 2.0, 2.0]))


def test_an_image_without_contrast_is_named():
    rows = torch.tensor([[1.0, 2.0], [5.0, 5.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match=r"images \[1\]"):
        image_dissimilarity(rows)


def test_a_task_that_tells_no_images_apart_is_named():
    with pytest.raises(ValueError, match=r"tasks \[1\]"):
        task_affinity([features(0, images=4), torch.eye(4, dtype=torch.float64)])


def test_different_probe_images_are_refused():
    with pytest.raises(ValueError, match=r"same probe images, but they saw \[8, 9\]"):
        task_affinity([features(0), features(1, images=9)])


def test_two_images_are_too_few():
    with pytest.raises(ValueError, match="at least 3 probe images"):
        task_affinity([features(0, images=2), features(1, images=2)])
