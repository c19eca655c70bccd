import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.affinity.cka import CKA, CKA_DEBIASED, _centred, _entries, _u_centred
from branchsearch.affinity.gram import gram
from tests.evidence import features, grams


def by_the_paper(one: np.ndarray, other: np.ndarray) -> float:
    """Kornblith et al.: of centred features, ||YᵀX||² / (||XᵀX|| ||YᵀY||)."""
    x, y = one - one.mean(axis=0), other - other.mean(axis=0)
    top = np.linalg.norm(y.T @ x) ** 2
    return float(top / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def hsic_1(one: np.ndarray, other: np.ndarray) -> float:
    """Nguyen et al.: the unbiased estimator of Song et al."""
    n = len(one)
    a, b = one @ one.T, other @ other.T
    np.fill_diagonal(a, 0)
    np.fill_diagonal(b, 0)
    ones = np.ones(n)
    middle = (ones @ a @ ones) * (ones @ b @ ones) / ((n - 1) * (n - 2))
    return float((np.trace(a @ b) + middle - 2 / (n - 2) * ones @ a @ b @ ones) / (n * (n - 3)))


@given(st.integers(0, 2**31), st.integers(4, 12), st.floats(-10, 10))
def test_both_are_what_their_papers_say(seed: int, images: int, shift: float):
    one, other = features(seed, images, 7) + shift, features(seed + 1, images, 9) - shift
    a, b = one.numpy(), other.numpy()
    assert CKA.values(grams(one, other))[0, 0, 1] == pytest.approx(by_the_paper(a, b), abs=1e-9)
    expected = hsic_1(a, b) / np.sqrt(hsic_1(a, a) * hsic_1(b, b))
    found = CKA_DEBIASED.values(grams(one, other))[0, 0, 1]
    assert found == pytest.approx(np.clip(expected, -1, 1), abs=1e-6)


@given(st.integers(0, 2**31))
def test_neither_sees_rotation_scale_or_shift(seed: int):
    task = features(seed, 12, 6)
    rotation = torch.linalg.qr(features(seed + 1, 6, 6)).Q
    for measure in (CKA, CKA_DEBIASED):
        found = measure.values(grams(task, 3 * task @ rotation + 5))
        np.testing.assert_allclose(found, np.ones((1, 2, 2)), atol=1e-9)


def test_plain_cka_rises_with_the_number_of_features_and_debiased_does_not():
    plain, debiased = (
        np.mean(
            [
                measure.values(grams(features(s, 20, 2000), features(s + 100, 20, 2000)))[0, 0, 1]
                for s in range(20)
            ]
        )
        for measure in (CKA, CKA_DEBIASED)
    )
    assert plain > 0.9
    assert abs(debiased) < 0.03


@given(st.integers(0, 2**31), st.lists(st.integers(0, 2), min_size=9, max_size=9))
def test_images_that_count_several_times_are_fitted_by_least_squares(seed: int, times: list[int]):
    times = [*times, 1, 1, 1, 1]  # at least four images
    rows = features(seed, len(times), 5)
    here = np.flatnonzero(times)
    kernel = (rows @ rows.T)[here][:, here]
    counts = torch.tensor(times, dtype=torch.float64)[here]
    found = _u_centred(kernel[None], counts)[0].numpy()
    a, b = np.triu_indices(len(here), 1)
    weight = (counts[a] * counts[b]).sqrt().numpy()
    design = np.zeros((len(a), len(here)))
    design[np.arange(len(a)), a] = design[np.arange(len(a)), b] = 1
    fit = np.linalg.lstsq(design * weight[:, None], kernel.numpy()[a, b] * weight, rcond=None)[0]
    np.testing.assert_allclose(
        found[a, b], (kernel.numpy()[a, b] - design @ fit) * weight, atol=1e-8
    )


def test_images_that_count_several_times_are_not_compared_with_their_copies():
    rows, times = features(0, 6, 5), [1, 3, 1, 2, 1, 1]
    counts = torch.tensor(times, dtype=torch.float64)
    found = _centred((rows @ rows.T)[None], counts)[0].square().sum().item()
    drawn = np.repeat(np.arange(6), times)
    copies = rows.numpy()[drawn] - rows.numpy()[drawn].mean(axis=0)
    compared = (drawn[:, None] != drawn) | np.eye(len(drawn), dtype=bool)
    assert found == pytest.approx(((copies @ copies.T)[compared] ** 2).sum())


def test_half_of_a_symmetric_matrix_has_the_same_products():
    units = features(0, 8, 16).reshape(2, 8, 8)
    units = units + units.mT
    entries = _entries(units, torch.triu_indices(8, 8))
    torch.testing.assert_close(entries @ entries.T, units.flatten(1) @ units.flatten(1).T)


def test_single_precision_with_a_large_mean_is_close_to_double():
    tasks = [features(seed, 50, 6000) + 1000 for seed in range(3)]
    tasks = [task.float() for task in tasks]
    for measure in (CKA, CKA_DEBIASED):
        exact = measure.values(grams(*(task.double() for task in tasks)))
        np.testing.assert_allclose(measure.values(grams(*tasks)), exact, atol=1e-5)


def test_flat_images_are_no_obstacle():
    task = features(0)
    task[3] = 0.0
    for measure in (CKA, CKA_DEBIASED):
        assert np.isfinite(measure.values(grams(task, features(1)))).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_culprits_are_named(dtype: torch.dtype):
    alike = features(0, 1, 50, dtype).expand(12, 50)
    for measure in (CKA, CKA_DEBIASED):
        with pytest.raises(ValueError, match="task 1: all images are alike"):
            measure.values(grams(features(0, dtype=dtype), alike))
        with pytest.raises(ValueError, match="same probe images, but task 0 has 12 and task 1"):
            measure.values(grams(features(0), features(1, images=9)))
    with pytest.raises(ValueError, match="seg: every two images are equally alike"):
        CKA_DEBIASED.values([[gram(torch.eye(9, dtype=dtype), source="seg")] * 2])
    with pytest.raises(ValueError, match="at least 4 probe images, got 3"):
        CKA_DEBIASED.values(grams(features(0, 3), features(1, 3)))
    with pytest.raises(ValueError, match="at least 3 probe images, got 2"):
        CKA.values(grams(features(0, 2), features(1, 2)))
