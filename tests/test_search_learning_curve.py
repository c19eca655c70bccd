from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from branchsearch.search.learning_curve import FEWEST, chance_to_beat, learning_curve

EPOCHS = 6

numbers = st.floats(-20, 20)
curves = st.lists(numbers, min_size=1, max_size=EPOCHS)
finished = st.lists(numbers, min_size=EPOCHS, max_size=EPOCHS)

RULE = learning_curve(first=2, chance=0.05, epochs=EPOCHS)


@given(
    curves,
    st.lists(finished, max_size=FEWEST - 1),
    st.lists(curves.filter(lambda c: len(c) < EPOCHS)),
)
def test_nothing_is_stopped_while_few_are_finished(
    curve: list[float], few: list[list[float]], unfinished: list[list[float]]
):
    assert not RULE(curve, few + unfinished)


@given(numbers, st.lists(finished, min_size=FEWEST, max_size=9))
def test_before_the_first_forecast_and_at_the_end_nothing_is_stopped(
    value: float, others: list[list[float]]
):
    assert not RULE([value - 1000], others)
    assert not RULE([value - 1000] * EPOCHS, others)


@given(st.lists(finished, min_size=FEWEST, max_size=9), st.integers(2, EPOCHS - 1), st.data())
def test_who_is_ahead_of_the_one_that_stops_goes_on(
    others: list[list[float]], epoch: int, data: st.DataObject
):
    """The rule is a bar at every epoch: above it all go on, below it none does."""
    low, high = sorted(data.draw(st.tuples(numbers, numbers)))
    if RULE([0.0] * (epoch - 1) + [high], others):
        assert RULE([0.0] * (epoch - 1) + [low], others)


@given(st.lists(finished, min_size=FEWEST, max_size=9), st.integers(2, EPOCHS - 1))
def test_the_order_of_the_others_and_a_shift_of_all_change_nothing(
    others: list[list[float]], epoch: int
):
    curve = [0.0] * epoch
    expected = RULE(curve, others)
    assert RULE(curve, others[::-1]) is expected
    moved = [[value + 64 for value in other] for other in others]
    near = abs(chance_of(curve, others) - 0.05) < 1e-6  # where rounding may decide
    assert near or RULE([value + 64 for value in curve], moved) is expected


def chance_of(curve: list[float], others: list[list[float]]) -> float:
    gains = [other[-1] - other[len(curve) - 1] for other in others]
    return chance_to_beat(max(other[-1] for other in others), curve[-1], gains)


def test_the_chance_is_students():
    gains = [1.0, 2.0, 4.0, 1.5]
    spread = stats.tstd(gains) * (1 + 1 / 4) ** 0.5
    expected = stats.t(df=3, loc=0.5 + 2.125, scale=spread).sf(5.0)
    assert chance_to_beat(5.0, 0.5, gains) == pytest.approx(expected)


def test_curves_that_all_go_on_alike_leave_nothing_to_guess():
    others = [[start + epoch for epoch in range(EPOCHS)] for start in (0.0, 1.0, 2.0, 3.0)]
    assert RULE([0.0, 1.0, 2.9 + 1], others)
    assert not RULE([0.0, 1.0, 3.0 + 2], others)


def test_of_noisy_curves_few_of_the_best_are_stopped_and_most_of_the_hopeless():
    draw = Random(0)

    def curve(end: float) -> list[float]:
        return [end - 8 * 0.6**epoch + draw.gauss(0, 0.3) for epoch in range(1, EPOCHS)] + [end]

    best_lost = hopeless_ended = 0
    for _ in range(200):
        others = [curve(draw.gauss(0, 1)) for _ in range(8)]
        best = max(other[-1] for other in others)
        winner, hopeless = curve(best + 0.2), curve(best - 3)
        best_lost += any(RULE(winner[:epoch], others) for epoch in range(2, EPOCHS))
        hopeless_ended += any(RULE(hopeless[:epoch], others) for epoch in range(2, EPOCHS))
    assert best_lost <= 0.1 * 200
    assert hopeless_ended >= 0.9 * 200


@pytest.mark.parametrize(("first", "chance"), [(0, 0.1), (1, 0.0), (1, 1.0)])
def test_arguments_must_make_sense(first: int, chance: float):
    with pytest.raises(ValueError, match="first >= 1 and 0 < chance < 1"):
        learning_curve(first=first, chance=chance, epochs=4)
