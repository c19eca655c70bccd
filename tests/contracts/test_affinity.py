"""What every measure of the catalog promises; one from an installed package as well."""

import numpy as np
import pytest

from branchsearch import catalog
from branchsearch.affinity.measure import Measure
from tests.evidence import planted, reordered

DRAWS = 30


@pytest.fixture(params=catalog.names("affinity"))
def measure(request: pytest.FixtureRequest) -> Measure:
    found = catalog.find("affinity", request.param)
    assert isinstance(found, Measure)
    return found


def test_there_is_one_value_for_every_stage_and_two_tasks(measure: Measure):
    values = measure.values(planted(measure.reads, 0, stages=3))
    assert values.shape == (3, 4, 4)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert (values <= 1 + 1e-9).all() or measure.reads == "gains"


def test_a_symmetric_measure_is_symmetric_with_ones_on_the_diagonal(measure: Measure):
    values = measure.values(planted(measure.reads, 0))
    if measure.symmetric:
        np.testing.assert_array_equal(values, values.swapaxes(1, 2))
        np.testing.assert_array_equal(np.einsum("sii->si", values), 1)
    else:
        assert not np.array_equal(values, values.swapaxes(1, 2))


def test_tasks_that_are_alike_are_told(measure: Measure):
    values = measure.values(planted(measure.reads, 1))
    apart = ~np.eye(4, dtype=bool)
    apart[:2, :2] = False
    assert min(values[:, 0, 1].min(), values[:, 1, 0].min()) > values[:, apart].max()


def test_the_order_of_tasks_does_not_matter(measure: Measure):
    evidence, order = planted(measure.reads, 2), [2, 0, 3, 1]
    values = measure.values(evidence)[:, order][:, :, order]
    other = measure.values(reordered(evidence, order))
    np.testing.assert_allclose(other, values, atol=1e-9)


def test_values_do_not_change_the_evidence_and_come_again(measure: Measure):
    evidence = planted(measure.reads, 3)
    np.testing.assert_array_equal(measure.values(evidence), measure.values(evidence))


def test_an_estimate_has_the_same_values_inside_its_intervals(measure: Measure):
    evidence = planted(measure.reads, 4)
    estimate = measure.estimate(evidence, draws=DRAWS, seed=5)
    np.testing.assert_allclose(estimate.values, measure.values(evidence), atol=1e-12)
    assert (estimate.low <= estimate.values).all()
    assert (estimate.values <= estimate.high).all()
    apart = ~np.eye(4, dtype=bool)
    assert (estimate.low < estimate.high)[:, apart].all()
    if measure.symmetric:
        for each in (estimate.low, estimate.high, estimate.chance):
            np.testing.assert_array_equal(each, each.swapaxes(1, 2))
            np.testing.assert_array_equal(np.einsum("sii->si", each), 1)


def test_a_chance_level_is_a_share_and_small_for_tasks_that_are_alike(measure: Measure):
    chance = measure.estimate(planted(measure.reads, 4), draws=DRAWS, seed=5).chance
    np.testing.assert_array_equal(np.einsum("sii->si", chance), 1)
    if np.isfinite(chance).all():
        assert ((chance > 0) & (chance <= 1)).all()
        assert chance[:, 0, 1].max() < 0.05
    else:
        assert measure.reads == "gains"  # its intervals say as much


def test_the_same_seed_gives_the_same_estimate(measure: Measure):
    evidence = planted(measure.reads, 6)
    one, same = (measure.estimate(evidence, draws=DRAWS, seed=7) for _ in range(2))
    for name in ("values", "low", "high", "chance"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))


def test_without_draws_nothing_is_said_of_how_sure_it_is(measure: Measure):
    estimate = measure.estimate(planted(measure.reads, 8), draws=0, seed=0)
    apart = ~np.eye(4, dtype=bool)
    for each in (estimate.low, estimate.high, estimate.chance):
        assert np.isnan(each[:, apart]).all()
    assert np.isfinite(estimate.values).all()


def test_one_task_and_one_stage_are_legal(measure: Measure):
    evidence = planted(measure.reads, 9, stages=1, tasks=2)
    alone = reordered(evidence, [0])
    assert measure.estimate(alone, draws=3, seed=0).values.shape == (1, 1, 1)
