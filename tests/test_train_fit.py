from dataclasses import replace

import pytest
import torch

from branchsearch.train.fit import NotFinite
from branchsearch.train.losses import absolute_error
from tests.trainings import RECIPE, epochs, judged, network


def test_training_learns_every_task():
    before = judged(network())
    *_, last = epochs(network(), replace(RECIPE, epochs=8))
    assert all(last.metrics[task] < before[task] / 2 for task in ("a", "b"))
    assert last.number == 8
    assert all(loss > 0 for loss in last.losses.values())


def test_the_same_seed_gives_the_same_numbers():
    first, twin, other = (list(epochs(network(), seed=seed)) for seed in (5, 5, 6))
    assert [epoch.metrics for epoch in first] == [epoch.metrics for epoch in twin]
    assert [epoch.metrics for epoch in first] != [epoch.metrics for epoch in other]


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_the_network_is_left_with_the_weights_that_were_judged_last(averaging: float):
    trained = network()
    *_, last = epochs(trained, replace(RECIPE, averaging=averaging))
    assert judged(trained) == last.metrics


def test_dropping_the_iterator_stops_the_training():
    trained = network()
    training = epochs(trained)
    next(training)
    after_one = {name: value.clone() for name, value in trained.state_dict().items()}
    training.close()  # type: ignore[attr-defined]
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(value, after_one[name])


def test_what_is_not_finite_is_told_with_its_task_and_step():
    steps = iter(range(100))

    def breaks(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return absolute_error(predicted, target) / (0 if next(steps) == 11 else 1)

    with pytest.raises(NotFinite, match="task 'b' is inf at step 11"):
        list(epochs(network(), losses={"a": absolute_error, "b": breaks}))
