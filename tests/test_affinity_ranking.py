import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from branchsearch.affinity.ranking import Ranking

NUMBERS = st.lists(st.floats(-2, 2) | st.integers(-2, 2).map(float), min_size=1, max_size=30)


@given(NUMBERS)
def test_ranks_are_what_scipy_says_ties_included(numbers: list[float]):
    ranks = Ranking.of(torch.tensor(numbers, dtype=torch.float64)).ranks()
    np.testing.assert_array_equal(ranks.numpy(), rankdata(numbers))


@given(NUMBERS, st.data())
def test_a_resample_is_ranked_as_if_it_were_sorted(numbers: list[float], data: st.DataObject):
    size = len(numbers)
    counts = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    ranking = Ranking.of(torch.tensor(numbers, dtype=torch.float64))
    found = ranking.ranks_of_resample(torch.tensor(counts, dtype=torch.float32)).numpy()
    expected = rankdata(np.repeat(numbers, counts))
    np.testing.assert_array_equal(np.repeat(found, counts) + 0.5, expected)
