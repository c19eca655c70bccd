from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor

from branchsearch.affinity import gram as module
from branchsearch.affinity.gram import gram
from branchsearch.affinity.rdm import one_minus_pearson
from tests.evidence import features


def in_double(rows: Tensor) -> np.ndarray:
    """Dissimilarities by NumPy, all in double."""
    return 1 - np.corrcoef(rows.double().numpy())[np.triu_indices(len(rows), 1)]


@given(st.integers(0, 2**31), st.lists(st.integers(1, 29), max_size=4))
def test_how_columns_are_cut_does_not_matter(seed: int, cuts: list[int]):
    rows = features(seed) + 5
    whole, chunked = gram(rows), gram(rows.tensor_split(sorted(cuts), dim=1))
    torch.testing.assert_close(one_minus_pearson(chunked), one_minus_pearson(whole))
    centred = rows - rows.mean(dim=0)
    centred -= centred.mean(dim=1, keepdim=True)
    torch.testing.assert_close(chunked.without_means(), centred @ centred.T)
    assert chunked.columns == 30


#: Features as networks may have them, made of normal ones.
KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda rows: rows,
    "relu": lambda rows: (rows + 0.5).relu(),
    "large mean": lambda rows: rows + 1000,
    "a mean per image": lambda rows: rows + torch.tensor([5.0, -5.0]).repeat(30)[:, None],
    "bright images": lambda rows: rows + 1000 * features(2, 60, 1),
    "a contrast per image": lambda rows: rows.abs() * features(2, 60, 1).abs() + 0.1,
    "a mean per feature": lambda rows: rows + 200 * features(2, 1, 9000),
    "alike images": lambda rows: rows + 30 * features(2, 1, 9000),
    "dark images": lambda rows: (
        torch.linspace(0.01, 1, 60)[:, None].sqrt() * 30 * features(2, 1, 9000).abs() + rows
    ),
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_error_against_double_is_as_stated(dtype: torch.dtype, kind: str):
    rows = KINDS[kind](features(1, 60, 9000)).to(dtype)  # what is lost here is no error of ours
    if dtype == torch.bfloat16 and kind in ("large mean", "bright images"):
        rows = (features(1, 60, 9000) + 10).to(dtype)
    ours, exact = one_minus_pearson(gram(rows)).numpy(), in_double(rows)
    assert np.abs(ours - exact).max() < 1e-6
    assert spearmanr(ours, exact).statistic > 1 - 1e-7


def test_channels_that_are_dead_come_before_others_with_a_large_mean():
    dead, plain = torch.zeros(60, 3000), features(1, 60, 3000, torch.float32).relu()
    bright = features(2, 60, 3000, torch.float32) + 20
    rows = torch.cat([dead, plain, bright, features(3, 60, 3000, torch.float32)], dim=1)
    found = one_minus_pearson(gram(rows.split(3000, dim=1))).numpy()
    np.testing.assert_allclose(found, in_double(rows), atol=1e-6, rtol=1e-3)
    assert spearmanr(found, in_double(rows)).statistic > 1 - 1e-5


def test_double_stays_double():
    rows = features(3, 20, 6000) + 100
    exact = in_double(rows)
    np.testing.assert_allclose(one_minus_pearson(gram(rows)).numpy(), exact, atol=1e-12)


def test_of_a_stream_one_chunk_is_held_at_a_time():
    alive = 0

    def stream() -> Iterator[Tensor]:
        nonlocal alive
        for number in range(5):
            assert alive <= 1  # the one before may still be in the loop's hands
            chunk = features(number)
            alive += 1
            yield chunk
            alive -= 1

    assert gram(stream()).columns == 150


def test_pieces_of_a_chunk_make_no_difference(monkeypatch: pytest.MonkeyPatch):
    rows = features(4, size=100)
    whole = gram(rows)
    monkeypatch.setattr(module, "_WHOLE", 50)
    monkeypatch.setattr(module, "_COLUMNS", 7)
    torch.testing.assert_close(gram(rows).without_means(), whole.without_means())


def test_features_that_want_gradients_are_read():
    assert gram(features(0).requires_grad_()).products.requires_grad is False


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_images_that_are_not_finite_are_named(bad: float, dtype: torch.dtype):
    rows = features(0, dtype=dtype)
    rows[[3, 7], [2, 29]] = bad
    with pytest.raises(ValueError, match=r"^depth at stage 2: features of images \[3, 7\] are NaN"):
        gram(rows, source="depth at stage 2")


def test_large_features_are_no_infinite_ones():
    rows = features(0) * 1e25
    ours = one_minus_pearson(gram(rows.float()))
    np.testing.assert_allclose(ours.numpy(), in_double(rows), atol=1e-6)


def test_means_of_pieces_may_differ_as_they_like():
    # the first piece, by which means are taken off, is like no other
    first, rest = features(6, 20, 500) + 1e5 * features(7, 20, 1), features(8, 20, 4000) + 1e5
    exact = in_double(torch.cat([first, rest], dim=1))
    found = one_minus_pearson(gram([first, *rest.split(500, dim=1)])).numpy()
    np.testing.assert_allclose(found, exact, atol=1e-9)


@pytest.mark.parametrize("offset", [10, 100, 1e5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_dissimilarities_stay_equal_under_means_of_images(dtype: torch.dtype, offset: float):
    draw = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 3, (10, 200), generator=draw).double().repeat(2, 1)
    means = offset * torch.randint(0, 5, (20, 1), generator=draw)
    expected = len(np.unique(in_double(rows).round(12)))
    assert len(one_minus_pearson(gram((rows + means).to(dtype))).unique()) == expected


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_features_whose_squares_are_no_numbers_are_refused(scale: float):
    with pytest.raises(ValueError, match="too large or too small: their squares overflow"):
        gram(features(0) * scale)


@pytest.mark.parametrize("scale", [1e-18, 1e-23, 1e-30])
def test_tiny_features_are_no_equal_ones(scale: float):
    rows = (features(0) * scale).float()
    ours = one_minus_pearson(gram(rows))
    np.testing.assert_allclose(ours.numpy(), in_double(rows), atol=1e-6)


def test_images_without_contrast_are_known():
    rows = features(0, size=40)
    rows[[1, 4]] = 5.0
    rows[6, :20] = 5.0
    rows[8, 8:] = rows[8, 0]
    rows[9] = 5.0
    rows[9, 38] = 5.1
    assert gram(rows.split(9, dim=1)).flat == (1, 4)
    assert gram(rows).flat == (1, 4)


def test_chunks_of_other_images_are_refused():
    with pytest.raises(ValueError, match=r"seg: chunks of features have 12 and 11 images"):
        gram([features(0), features(1, images=11)], source="seg")


def test_no_features_are_refused():
    with pytest.raises(ValueError, match="seg: there are no features"):
        gram([], source="seg")


def test_images_have_to_be_flattened():
    with pytest.raises(ValueError, match=r"\[images, features\], not of shape \(2, 3, 4, 4\)"):
        gram(torch.ones(2, 3, 4, 4))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_features_stay_on_their_device():
    rows = features(5, 30, 5000, torch.float32)
    there = gram(rows.cuda())
    assert there.products.is_cuda
    torch.testing.assert_close(
        one_minus_pearson(there).cpu(), one_minus_pearson(gram(rows)), atol=1e-6, rtol=0
    )
