import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from branchsearch.affinity.gram import gram
from branchsearch.affinity.rdm import one_minus_pearson, some, squared_euclidean
from branchsearch.affinity.rsa import Dissimilarity
from tests.evidence import features


@given(st.integers(0, 2**31), st.floats(-100, 100))
def test_both_are_what_scipy_says(seed: int, shift: float):
    rows = features(seed) + shift
    found = one_minus_pearson(gram(rows)).numpy()
    np.testing.assert_allclose(found, pdist(rows.numpy(), "correlation"), atol=1e-10)
    found = squared_euclidean(gram(rows)).numpy()
    np.testing.assert_allclose(found, pdist(rows.numpy(), "sqeuclidean"), rtol=1e-9)


def test_three_images_by_hand():
    # rows 0 and 1 rise together (r = 1), row 2 falls (r = -1)
    rows = torch.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(
        one_minus_pearson(gram(rows)), torch.tensor([0.0, 2.0, 2.0]).double()
    )
    torch.testing.assert_close(
        squared_euclidean(gram(rows)), torch.tensor([14.0, 8.0, 30.0]).double()
    )


def test_equal_dissimilarities_are_equal_to_the_last_bit():
    rows = torch.randint(0, 3, (30, 8), generator=torch.Generator().manual_seed(0)).double()
    found = squared_euclidean(gram(rows))
    assert len(found.unique()) == len(np.unique(pdist(rows.numpy(), "sqeuclidean")))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("dissimilarity", [one_minus_pearson, squared_euclidean])
def test_features_of_zeros_and_ones_tie_in_single_precision_as_in_double(
    dtype: torch.dtype, dissimilarity: Dissimilarity
):
    rows = (features(0, 100, 60) > 0.5).to(dtype)
    found, exact = (dissimilarity(gram(each)) for each in (rows, rows.double()))
    torch.testing.assert_close(found.unique(return_counts=True), exact.unique(return_counts=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_image_without_contrast_is_named(dtype: torch.dtype):
    rows = features(0, dtype=dtype)
    rows[1] = 0.1  # no binary fraction: centred, it is not quite 0
    with pytest.raises(ValueError, match=r"seg: features are all equal for images \[1\]"):
        one_minus_pearson(gram(rows, source="seg"))


@pytest.mark.parametrize("dissimilarity", [one_minus_pearson, squared_euclidean])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_task_that_tells_no_images_apart_is_named(
    dissimilarity: Dissimilarity, dtype: torch.dtype
):
    with pytest.raises(ValueError, match="seg: every two images are equally alike"):
        dissimilarity(gram(torch.eye(7, dtype=dtype) / 3, source="seg"))
    with pytest.raises(ValueError, match="seg: every two images are equally alike"):
        dissimilarity(gram(features(0, 1, 50, dtype).expand(7, 50), source="seg"))


def test_long_lists_are_cut_short():
    assert some([1, 2]) == "[1, 2]"
    assert some(list(range(500))) == "[0, 1, 2, 3, 4, 5, 6, 7, … 492 more]"
