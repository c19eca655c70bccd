"""Each balancing weighs as its paper says; what all have in common is in ``contracts``."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from branchsearch.train.balancing.balancing import Step
from branchsearch.train.balancing.dwa import dwa
from branchsearch.train.balancing.equal_start import MOST, equal_start
from branchsearch.train.balancing.fixed import fixed
from branchsearch.train.balancing.floors import with_floors
from branchsearch.train.balancing.gls import gls
from branchsearch.train.balancing.gradnorm import gradnorm
from branchsearch.train.balancing.rlw import rlw
from branchsearch.train.balancing.scalarizers import imtl_l
from branchsearch.train.balancing.uncertainty import uncertainty
from tests.trainings import network

NETWORK = network()


def step(number: int = 0, epoch: int = 1, seed: int = 0) -> Step:
    return Step(NETWORK, number, epoch, seed)


def losses(**values: float) -> dict[str, Tensor]:
    return {task: torch.tensor(float(value), requires_grad=True) for task, value in values.items()}


def weights_of(balancing: nn.Module, at: Step, **values: float) -> dict[str, float]:
    """What each loss is multiplied by: the gradient of the total."""
    each = losses(**values)
    balancing(each, at).backward()
    return {task: loss.grad.item() for task, loss in each.items()}


def test_fixed_weights_by_hand():
    assert fixed({"a": 2.0, "b": 3.0})(losses(a=5, b=7), step()) == 31


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_every_task_starts_with_its_weight(a: float, b: float):
    total = equal_start({"a": 1.0, "b": 3.0})
    assert total(losses(a=a, b=b), step()).item() == pytest.approx(4, rel=1e-5)
    assert total(losses(a=a / 2, b=b), step()).item() == pytest.approx(3.5, rel=1e-5)


def test_the_unit_of_a_loss_does_not_matter():
    metres, millimetres = equal_start({"a": 1.0, "b": 1.0}), equal_start({"a": 1.0, "b": 1.0})
    for value in (4.0, 2.0, 1.0):
        ours = metres(losses(a=value, b=1), step())
        torch.testing.assert_close(ours, millimetres(losses(a=1000 * value, b=1), step()))


def test_a_first_batch_with_hardly_a_label_does_not_decide():
    total = equal_start({"a": 1.0, "b": 1.0})
    total(losses(a=1e-4, b=1), step())
    weights = weights_of(total, step(1), a=1, b=1)
    assert weights == pytest.approx({"a": MOST, "b": 1})
    # later on a loss that leaps is no measure of how big losses are at the start
    assert weights_of(total, step(2, epoch=2), a=100, b=100) == weights


def test_a_task_without_labels_in_the_first_batch_is_measured_later():
    total = equal_start({"a": 1.0})
    assert total(losses(a=0), step()) == 0
    assert total(losses(a=8), step()) == 1


def test_uncertainty_settles_where_every_weighed_loss_is_one():
    balancing = uncertainty({"a": 1.0, "b": 1.0})
    descent = torch.optim.SGD(balancing.parameters(), lr=0.5)
    for _ in range(300):
        descent.zero_grad()
        balancing(losses(a=4, b=0.25), step()).backward()
        descent.step()
    variances = next(balancing.parameters()).exp()
    torch.testing.assert_close(variances.detach(), torch.tensor([4.0, 0.25]), rtol=1e-2, atol=0)
    assert weights_of(balancing, step(), a=4, b=0.25) == pytest.approx(
        {"a": 0.125, "b": 2}, rel=1e-2
    )


def test_uncertainty_learns_nothing_of_a_task_without_labels():
    balancing = uncertainty({"a": 1.0, "b": 1.0})
    balancing(losses(a=4, b=0), step()).backward()
    (learnt,) = balancing.parameters()
    assert learnt.grad[0] != 0
    assert learnt.grad[1] == 0


def test_dwa_gives_more_to_the_task_that_slowed_down():
    balancing = dwa({"a": 1.0, "b": 1.0}, temperature=2.0)
    for epoch, (a, b) in enumerate([(8, 8), (4, 8)], start=1):
        for number in range(3):
            even = weights_of(balancing, step(number, epoch), a=a, b=b)
            assert even == pytest.approx({"a": 1, "b": 1})
    # loss of the last epoch by that of the one before: 1/2 and 1, over the temperature
    a, b = math.exp(0.25), math.exp(0.5)
    later = weights_of(balancing, step(9, 3), a=1, b=1)
    assert later == pytest.approx({"a": 2 * a / (a + b), "b": 2 * b / (a + b)})


def test_dwa_takes_the_mean_over_batches_with_labels():
    balancing = dwa({"a": 1.0, "b": 1.0})
    for epoch in (1, 2):
        for a in (6 / epoch, 0):
            weights_of(balancing, step(0, epoch), a=a, b=1)
    weights_of(balancing, step(0, 3), a=1, b=1)
    assert balancing.state_dict()["last"].tolist() == [3, 1]


def test_random_weights_are_new_at_every_step_and_the_same_again():
    balancing = rlw({"a": 1.0, "b": 1.0})
    first, second = (weights_of(balancing, step(number), a=1, b=1) for number in (0, 1))
    assert first != second
    assert weights_of(balancing, step(0), a=1, b=1) == first
    assert weights_of(balancing, step(0, seed=1), a=1, b=1) != first
    many = [weights_of(balancing, step(number), a=1, b=1) for number in range(300)]
    assert all(weights["a"] + weights["b"] == pytest.approx(2) for weights in many)
    assert np.mean([weights["a"] for weights in many]) == pytest.approx(1, abs=0.1)


def test_the_geometric_mean_by_hand():
    assert gls({"a": 1.0, "b": 1.0})(losses(a=2, b=8), step()).item() == pytest.approx(4)
    assert gls({"a": 3.0, "b": 1.0})(losses(a=2, b=32), step()).item() == pytest.approx(4)
    assert gls({"a": 1.0, "b": 1.0})(losses(a=0, b=8), step()).item() == pytest.approx(8)


def pulls(balancing: nn.Module, sizes: dict[str, float], rounds: int) -> dict[str, float]:
    """GradNorm's factors times gradient norms after some steps on losses of such sizes."""
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for number in range(rounds):
        predicted = NETWORK(images)
        each = {task: size * predicted[task].square().mean() for task, size in sizes.items()}
        balancing(each, step(number))
    norms = {}
    for task, size in sizes.items():
        loss = size * NETWORK(images)[task].square().mean()
        shared = NETWORK.stages[0].copies[0].parameters()
        grown = torch.autograd.grad(loss, list(shared))
        norms[task] = float(torch.cat([gradient.flatten() for gradient in grown]).norm())
    factors = dict(zip(sizes, balancing.state_dict()["factors"].tolist(), strict=True))
    assert sum(factors.values()) == pytest.approx(len(sizes))
    return {task: factors[task] * norm for task, norm in norms.items()}


def test_gradnorm_makes_tasks_pull_equally_hard_on_what_they_share():
    NETWORK.train()
    sizes = {"a": 1.0, "b": 6.0}
    before = pulls(gradnorm({"a": 1.0, "b": 1.0}), sizes, rounds=0)
    after = pulls(gradnorm({"a": 1.0, "b": 1.0}, rate=0.1), sizes, rounds=50)
    assert abs(math.log(before["a"] / before["b"])) > 1
    assert abs(math.log(after["a"] / after["b"])) < 0.4


def test_a_solved_task_is_left_alone_while_it_stays_solved():
    balancing = with_floors(fixed({"a": 1.0, "b": 1.0}), {"a": 0.5}, ["a", "b"])
    assert weights_of(balancing, step(0, 1), a=0.4, b=0.4) == {"a": 1, "b": 1}
    assert weights_of(balancing, step(1, 2), a=0.7, b=0.4) == {"a": 0, "b": 1}
    assert weights_of(balancing, step(2, 3), a=0.7, b=0.4) == {"a": 1, "b": 1}


def test_the_loss_of_a_step_in_parts_is_their_mean():
    balancing = with_floors(fixed({"a": 1.0, "b": 1.0}), {"a": 0.5, "b": 0.5}, ["a", "b"])
    for a, b in [(0.9, 0.8), (0.0, 0.4)]:  # in the second part nobody knows a
        weights_of(balancing, step(0, 1), a=a, b=b)
    assert weights_of(balancing, step(1, 2), a=0.9, b=0.9) == {"a": 0, "b": 1}


def test_imtl_l_learns_nothing_of_a_task_without_labels():
    balancing = imtl_l({"a": 1.0, "b": 1.0})
    (scale,) = balancing.parameters()
    with torch.no_grad():
        scale.copy_(torch.tensor([0.3, -0.7]))
    assert weights_of(balancing, step(0), a=0.0, b=0.4)["a"] == 0
    assert scale.grad is not None
    assert scale.grad[0] == pytest.approx(0, abs=1e-6)
    assert abs(scale.grad[1]) > 0.1


def test_a_floor_of_no_task_is_refused():
    with pytest.raises(ValueError, match="floors of c, which are no tasks"):
        with_floors(fixed({"a": 1.0}), {"c": 0.5}, ["a"])
    unchanged = fixed({"a": 1.0})
    assert with_floors(unchanged, {}, ["a"]) is unchanged


@pytest.mark.parametrize(
    "make",
    [
        lambda: dwa({"a": 1.0}, temperature=0.0),
        lambda: gradnorm({"a": 1.0}, rate=0.0),
        lambda: gradnorm({"a": 1.0}, alpha=-1.0),
    ],
)
def test_arguments_out_of_range_are_refused(make: Callable[[], nn.Module]):
    with pytest.raises(ValueError, match="needs"):
        make()
