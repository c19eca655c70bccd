"""What every loss and metric of every kind of task promises."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from branchsearch import catalog
from branchsearch.task import KINDS, METRICS, Direction
from tests.tasks import perfect, target_of, task_of, without

PAIRS = [(name, metric) for name, kind in KINDS.items() for metric in kind.metrics]

kinds = pytest.mark.parametrize("kind", KINDS)
kinds_and_metrics = pytest.mark.parametrize(("kind", "metric"), PAIRS)
halves = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])


def loss_of(kind: str):
    return catalog.find("loss", KINDS[kind].loss)


def judge(kind: str, metric: str) -> Any:  # noqa: ANN401  # as torchmetrics has it
    return catalog.find("metric", metric)(task_of(kind, metric))


def measured(kind: str, metric: str, *batches: tuple[Tensor, Tensor]) -> float:
    accumulated = judge(kind, metric)
    for predicted, target in batches:
        accumulated.update(predicted, target)
    value = accumulated.compute()
    assert value.shape == ()
    return float(value)


def noise_for(target: Tensor, kind: str, seed: int = 1) -> Tensor:
    return torch.randn(perfect(kind, target).shape, generator=torch.Generator().manual_seed(seed))


def guess(kind: str, seed: int = 0, **size: int) -> tuple[Tensor, Tensor]:
    """A prediction that is neither right nor hopeless, and its target."""
    target = target_of(kind, seed, **size)
    scale = 0.7 if METRICS[KINDS[kind].metrics[0]] is Direction.MINIMIZE else 12
    return perfect(kind, target) + scale * noise_for(target, kind), target


def test_the_catalog_has_what_the_kinds_name_and_nothing_else():
    assert set(catalog.names("loss")) == {kind.loss for kind in KINDS.values()}
    assert set(catalog.names("metric")) == set(METRICS) == {metric for _, metric in PAIRS}


@kinds
def test_a_batch_without_labels_loses_nothing_and_trains_nothing(kind: str):
    predicted, target = guess(kind)
    predicted.requires_grad_()
    loss = loss_of(kind)(predicted, without(kind, target, slice(None)))
    loss.backward()
    assert loss == 0
    assert (predicted.grad == 0).all()


@kinds
def test_images_without_a_label_do_not_count_in_a_loss(kind: str):
    predicted, target = guess(kind)
    some = loss_of(kind)(predicted, without(kind, target, slice(6, None)))
    torch.testing.assert_close(some, loss_of(kind)(predicted[:6], target[:6]))
    assert some > 0


@kinds
def test_parts_of_a_batch_add_up_to_its_loss_and_gradient(kind: str):
    loss, (predicted, target) = loss_of(kind), guess(kind)
    target = without(kind, target, slice(3, 6))
    predicted.requires_grad_()
    whole = loss(predicted, target)
    (gradient,) = torch.autograd.grad(whole, predicted)
    pieces = [slice(0, 3), slice(3, 6), slice(6, 12)]
    labels = sum(loss.count(target[piece]) for piece in pieces)
    parts = sum(loss(predicted[piece], target[piece], labels) for piece in pieces)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts, predicted)[0], gradient)


@kinds
def test_following_the_gradient_lowers_the_loss(kind: str):
    predicted, target = guess(kind)
    predicted.requires_grad_()
    before = loss_of(kind)(predicted, target)
    before.backward()
    assert predicted.grad.isfinite().all()
    assert loss_of(kind)(predicted.detach() - 0.1 * predicted.grad, target) < before


@kinds
def test_a_perfect_prediction_loses_next_to_nothing(kind: str):
    predicted, target = guess(kind)
    assert loss_of(kind)(perfect(kind, target), target) < 0.01 * loss_of(kind)(predicted, target)


@kinds
@halves
def test_losses_take_predictions_of_half_precision(kind: str, dtype: torch.dtype):
    predicted, target = guess(kind)
    half = predicted.to(dtype).requires_grad_()
    loss = loss_of(kind)(half, target)
    loss.backward()
    assert loss.dtype is torch.float32
    assert half.grad.isfinite().all()
    torch.testing.assert_close(loss, loss_of(kind)(predicted, target), rtol=0.05, atol=0.01)


@kinds_and_metrics
@halves
def test_metrics_take_predictions_of_half_precision(kind: str, metric: str, dtype: torch.dtype):
    predicted, target = guess(kind)
    rounded = predicted.to(dtype)
    value = measured(kind, metric, (rounded, target))
    assert value == pytest.approx(measured(kind, metric, (rounded.float(), target)))


@kinds_and_metrics
def test_nothing_is_better_than_a_perfect_prediction_and_noise_makes_it_worse(
    kind: str, metric: str
):
    target, sign = target_of(kind), METRICS[metric].sign
    noise = noise_for(target, kind)
    values = [
        sign * measured(kind, metric, (perfect(kind, target) + amount * noise, target))
        for amount in (0, 12, 400)
    ]
    assert values[0] > values[1] > values[2] or values[0] > max(values[1:])
    ideal = 1 if METRICS[metric] is Direction.MAXIMIZE else 0
    assert sign * values[0] == pytest.approx(ideal, abs=1e-3 if "angular" not in metric else 0.1)


@kinds_and_metrics
def test_images_without_a_label_do_not_count_in_a_metric(kind: str, metric: str):
    predicted, target = guess(kind)
    less = without(kind, target, slice(6, None))
    some = measured(kind, metric, (predicted, less))
    assert some == pytest.approx(measured(kind, metric, (predicted[:6], target[:6])))
    assert some != measured(kind, metric, (predicted, target))


@kinds_and_metrics
def test_a_metric_over_no_label_at_all_is_not_a_number(kind: str, metric: str):
    predicted, target = guess(kind)
    nothing = without(kind, target, slice(None))
    assert math.isnan(measured(kind, metric, (predicted, nothing), (predicted, nothing)))


@kinds_and_metrics
def test_updates_in_pieces_give_what_one_update_gives(kind: str, metric: str):
    predicted, target = guess(kind)
    target = without(kind, target, slice(3, 6))
    pieces = [(predicted[part], target[part]) for part in (slice(0, 3), slice(3, 6), slice(6, 12))]
    assert measured(kind, metric, *pieces) == pytest.approx(
        measured(kind, metric, (predicted, target)), rel=1e-6
    )


@kinds_and_metrics
def test_targets_in_single_precision_are_the_same(kind: str, metric: str):
    predicted, target = guess(kind)
    if target.is_floating_point():
        value = measured(kind, metric, (predicted, target.float()))
        assert value == pytest.approx(measured(kind, metric, (predicted, target)))
