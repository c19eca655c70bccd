import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.search.early_stopping import halving, never

curves = st.lists(st.floats(-10, 10), min_size=1, max_size=9)


@given(curves, st.lists(curves))
def test_never_stops_nothing(curve: list[float], others: list[list[float]]):
    assert not never(curve, others)


@given(curves, st.lists(curves), st.integers(1, 4), st.integers(2, 4))
def test_trials_are_stopped_at_rungs_alone(
    curve: list[float], others: list[list[float]], first: int, factor: int
):
    rungs = {first * factor**power for power in range(10)}
    if halving(first=first, factor=factor)(curve, others):
        assert len(curve) in rungs


@given(curves, st.lists(curves))
def test_the_best_so_far_goes_on(curve: list[float], others: list[list[float]]):
    beaten = [[min(other) - 100] * len(other) for other in others]
    assert not halving(first=1, factor=2)(curve, beaten)


def kept_in_order_of_arrival(values: list[int], factor: int) -> list[int]:
    """The values of those that go on after their only rung, one arriving after the other."""
    stop = halving(first=1, factor=factor)
    curves = [[float(value)] for value in values]
    return [value for place, value in enumerate(values) if not stop(curves[place], curves[:place])]


@given(st.integers(2, 4), st.integers(0, 12))
def test_of_many_that_arrive_in_falling_order_only_those_before_a_comparison_go_on(
    factor: int, arrived: int
):
    # each is the worst so far; the first factor - 1 have too few to be compared with
    falling = list(range(arrived, 0, -1))
    assert kept_in_order_of_arrival(falling, factor) == falling[: factor - 1]


@given(st.integers(2, 4), st.integers(0, 12))
def test_all_that_arrive_in_rising_order_go_on(factor: int, arrived: int):
    rising = list(range(arrived))
    assert kept_in_order_of_arrival(rising, factor) == rising


@given(st.integers(2, 4), st.permutations(range(12)))
def test_one_in_factor_of_those_so_far_goes_on(factor: int, values: list[int]):
    kept = set(kept_in_order_of_arrival(values, factor))
    for arrived, value in enumerate(values, start=1):
        best = sorted(values[:arrived], reverse=True)[: arrived // factor]
        assert (value in kept) == (value in best or arrived < factor)


def test_a_trial_is_compared_with_those_that_reached_its_rung():
    stop = halving(first=2, factor=2)
    assert not stop([0.0, 0.0], [[9.0], [9.0]])
    assert stop([0.0, 0.0], [[9.0, 9.0]])
    assert not stop([0.0, 0.0, 0.0], [[9.0, 9.0, 9.0]])
    assert stop([0.0] * 4, [[9.0] * 4])


@pytest.mark.parametrize(("first", "factor"), [(0, 2), (1, 1)])
def test_rungs_must_rise(first: int, factor: int):
    with pytest.raises(ValueError, match="first >= 1 and factor >= 2"):
        halving(first=first, factor=factor)
