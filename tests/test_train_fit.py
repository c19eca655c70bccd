from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from branchsearch.datasets.dataset import Part
from branchsearch.datasets.loading import Batch
from branchsearch.train.fit import NotFinite
from branchsearch.train.judging import images_at_once, judge
from branchsearch.train.losses import absolute_error
from branchsearch.train.metrics.numbers import rmse
from branchsearch.train.processes import Processes
from tests.trainings import CPU, RECIPE, TASKS, epochs, judged, loaded, network, part


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


def test_no_more_images_are_judged_at_once_than_are_learnt_from():
    seen: list[int] = []

    def watched(of: Part, positions: Sequence[np.ndarray], epoch: int | None) -> Iterator[Batch]:
        seen.extend(len(each) for each in positions if epoch is None)
        return loaded(of, positions, epoch)

    list(epochs(network(), replace(RECIPE, epochs=1, batch_size=12, accumulate=3), load=watched))
    assert set(seen) == {4}
    assert sum(seen) == 32
    assert images_at_once(replace(RECIPE, batch_size=1000)) == 250
    assert images_at_once(replace(RECIPE, accumulate=8), Processes(0, 2)) == 1


def test_how_many_images_are_judged_at_once_changes_rounding_alone():
    trained = network()
    list(epochs(trained, replace(RECIPE, epochs=1)))
    at_once, others = judged(trained), judged(trained, at_once=250)
    assert at_once == pytest.approx(others, rel=1e-6)


def test_what_a_process_judges_is_not_added_to_what_others_judged():
    metric = rmse(TASKS[0])
    judge(
        network("a > a"),
        names=["a"],
        part=part(8, seed=2),
        load=loaded,
        metrics={"a": lambda: metric},
        device=CPU,
    )
    assert not metric.sync_on_compute


def test_what_is_not_finite_is_told_with_its_task_and_step():
    steps = iter(range(100))

    def breaks(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return absolute_error(predicted, target) / (0 if next(steps) == 11 else 1)

    with pytest.raises(NotFinite, match="task 'b' is inf at step 11"):
        list(epochs(network(), losses={"a": absolute_error, "b": breaks}))


def test_all_losses_that_are_not_finite_are_told():
    def broken(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return absolute_error(predicted, target) * torch.nan

    with pytest.raises(NotFinite, match="of task 'a' is nan, of task 'b' is nan at step 0"):
        list(epochs(network(), losses={"a": broken, "b": broken}))


@pytest.mark.parametrize("breaks_at", [11, 23])  # the last step of all is 23
def test_a_gradient_that_is_not_finite_is_told_with_its_task_and_step(breaks_at: int):
    steps = iter(range(100))

    def steep(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = absolute_error(predicted, target)
        # the root of 0 is 0, its slope is infinite
        return loss + (predicted.sum() * 0).sqrt() if next(steps) == breaks_at else loss

    told = f"the gradient of task 'b' is not finite at step {breaks_at}"
    with pytest.raises(NotFinite, match=told):
        list(epochs(network(), losses={"a": absolute_error, "b": steep}))


def test_a_step_of_float16_that_the_scaler_leaves_out_is_none():
    recipe = replace(RECIPE, precision="float16", epochs=1)
    steps = iter(range(100))

    def steep(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = absolute_error(predicted, target)
        return loss + (predicted.sum() * 0).sqrt() if next(steps) == 3 else loss

    trained = network()
    list(epochs(trained, recipe, losses={"a": absolute_error, "b": steep}))
    assert all(weight.isfinite().all() for weight in trained.parameters())
