from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from branchsearch.report.verdict import negative_transfer, rivals, told_apart, verdict
from tests.report_findings import CHOSEN, NOISE, a_job, confirmed, without

NUMBERS = st.lists(st.floats(-100, 100), min_size=1, max_size=5)
SINGLE, ALL, BEST = a_job().confirmed


@given(NUMBERS, NUMBERS)
def test_telling_apart_has_no_sides_and_needs_two_seeds(ours: list[float], theirs: list[float]):
    assert told_apart(ours, theirs) == told_apart(theirs, ours)
    assert not told_apart(ours, ours)
    assert not told_apart(ours[:1], theirs)


def test_a_clear_lead_is_said():
    assert verdict(a_job()) == "Its Δ interval lies above those of all 2 other networks confirmed."


def test_no_winner_inside_the_noise():
    near = confirmed("near", CHOSEN, {task: [2.5, 2.9, 3.3] for task in BEST.metrics})
    found = without(a_job(), confirmed=[SINGLE, ALL, BEST, near])
    assert rivals(found, BEST) == (near,)
    assert "overlaps that of near" in verdict(found)
    assert "above" not in verdict(found)


def test_many_names_are_told_apart():
    gains = {task: [2.5, 2.9, 3.3] for task in BEST.metrics}
    near = [confirmed(name, CHOSEN, gains) for name in ("a+b > a,b", "c", "d", "e", "f")]
    said = [
        verdict(without(a_job(), confirmed=[SINGLE, BEST, *near[:count]])) for count in (2, 3, 5)
    ]
    assert "that of a+b > a,b and c: " in said[0]
    assert "that of a+b > a,b; c; and d: " in said[1]
    assert "that of a+b > a,b; c; d; and 2 more: " in said[2]


def test_a_chosen_network_that_is_beaten_says_so():
    better = confirmed("better", CHOSEN, {task: [8.0, 8.1, 8.2] for task in BEST.metrics})
    said = verdict(without(a_job(), confirmed=[SINGLE, BEST, better]))
    assert said.startswith("Δ is higher, by more than the noise, for better.")


def test_one_seed_names_no_winner():
    once = [replace(network, deltas=network.deltas[:1]) for network in a_job().confirmed]
    assert "no winner can be named" in verdict(without(a_job(), confirmed=once))


def test_negative_transfer_follows_the_metrics_direction():
    # every task loses 5 %, be its metric one to maximise or to minimise
    gains = {task: [-5 + n for n in NOISE] for task in BEST.metrics}
    worse = confirmed("worse", CHOSEN, gains)
    found = without(a_job(), confirmed=[SINGLE, worse])
    assert negative_transfer(found, worse) == ("depth", "edges", "normals", "seg")
    assert negative_transfer(a_job(), BEST) == ()
    assert negative_transfer(found, SINGLE) == ()


def test_a_loss_within_the_noise_is_not_flagged():
    slight = confirmed("slight", CHOSEN, {task: [-0.5, -0.1, 0.3] for task in BEST.metrics})
    assert negative_transfer(without(a_job(), confirmed=[SINGLE, slight]), slight) == ()
