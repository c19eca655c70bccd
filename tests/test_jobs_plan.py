from functools import partial
from unittest.mock import patch

import pytest

from branchsearch.affinity.features import spooled_bytes
from branchsearch.jobs.check import check_job
from branchsearch.jobs.plan import plan
from branchsearch.tree import Tree
from tests.specs import checked, tiny


def test_the_space_and_its_extremes_are_counted():
    job = checked()
    planned = plan(job)
    assert planned.trees == planned.allowed == 12
    shared, separate = (Tree.parse(n.tree) for n in (planned.cheapest, planned.dearest))
    assert (shared.widths, separate.widths) == ((1, 1), (3, 3))
    costs = job.space.costs
    assert planned.dearest.parameters == costs.of(separate).parameters
    assert planned.dearest.multiply_adds == costs.of(separate).multiply_adds
    assert planned.dearest.training_mib > planned.cheapest.training_mib > 0
    assert planned.dearest.latency_ms > 0


def test_a_budget_leaves_fewer_trees_and_trainings():
    shared = checked().space.costs.of(Tree.share_all(["depth", "normals", "seg"], 2)).parameters
    job = checked(constraints=[{"metric": "parameters", "max": shared}])
    planned = plan(job)
    assert planned.allowed == planned.trials == 1
    assert planned.cheapest.fits
    assert not planned.dearest.fits


def test_trainings_are_those_of_the_steps():
    planned = plan(checked(budget={"max_trials": 5}, confirm={"trees": 2, "seeds": 3}))
    assert planned.baselines == 3 + 1
    assert planned.trials == 5
    assert planned.confirmations == 3 * (3 + 1 + 2)
    assert planned.hours * 3600 == pytest.approx(sum(planned.seconds.values()))


def test_twice_the_epochs_take_twice_the_time():
    short, long = (
        plan(check_job(tiny(trial={"epochs": epochs, "batch_size": 24}))).seconds["search"]
        for epochs in (2, 200)
    )
    assert long > 20 * short


def test_gpus_are_counted_apart():
    planned = plan(checked(resources={"max_concurrent_trials": 4, "num_cpus": 2, "num_gpus": 0.5}))
    assert planned.core_hours == pytest.approx(planned.hours * 8)
    assert planned.gpu_hours == pytest.approx(planned.hours * 2)


def test_pairs_are_trained_for_the_measure_that_needs_them_and_take_their_time():
    cheap, dear = plan(checked()), plan(checked(affinity={"measures": ["rsa", "two_task"]}))
    assert (cheap.pairs, cheap.seconds["affinity"]) == (0, 0)
    assert dear.pairs == 3 * 2  # three pairs, at each of two depths
    assert 0 < dear.seconds["affinity"] < dear.seconds["search"] + dear.seconds["confirm"]
    assert dear.hours * 3600 == sum(dear.seconds.values())


def test_the_disk_that_features_take_is_told():
    assert plan(checked()).spool_mib == 0  # they fit into memory
    with patch("branchsearch.jobs.plan.spooled_bytes", partial(spooled_bytes, in_memory=0)):
        told = plan(checked()).spool_mib
        assert plan(checked(affinity={"measures": ["tag"]})).spool_mib == 0  # reads no features
    # 24 images; 4 channels at 8 by 8 after stride 2, then 6
    assert told == pytest.approx(24 * 4 * (4 + 6) * 8 * 8 / 2**20)
