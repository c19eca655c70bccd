import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from branchsearch import catalog
from branchsearch.train.balancing import equal_start, fixed


def losses(**values: float) -> dict[str, torch.Tensor]:
    return {task: torch.tensor(float(value), requires_grad=True) for task, value in values.items()}


def test_fixed_weights_by_hand():
    assert fixed({"a": 2.0, "b": 3.0})(losses(a=5, b=7)) == 31


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_every_task_starts_with_its_weight(a: float, b: float):
    total = equal_start({"a": 1.0, "b": 3.0})
    assert total(losses(a=a, b=b)).item() == pytest.approx(4, rel=1e-5)
    assert total(losses(a=a / 2, b=b)).item() == pytest.approx(3.5, rel=1e-5)


def test_the_unit_of_a_loss_does_not_matter():
    metres, millimetres = equal_start({"a": 1.0, "b": 1.0}), equal_start({"a": 1.0, "b": 1.0})
    for step in (4.0, 2.0, 1.0):
        ours = metres(losses(a=step, b=1))
        torch.testing.assert_close(ours, millimetres(losses(a=1000 * step, b=1)))


def test_a_task_without_labels_in_the_first_batch_is_measured_later():
    total = equal_start({"a": 1.0})
    assert total(losses(a=0)) == 0
    assert total(losses(a=8)) == 1


@pytest.mark.parametrize("name", catalog.names("balancing"))
def test_every_balancing_gives_finite_gradients_to_every_task(name: str):
    total = catalog.find("balancing", name)({"a": 1.0, "b": 2.0})
    for _ in range(2):
        given_ = losses(a=0.3, b=9)
        total(given_).backward()
        assert all(loss.grad.isfinite() and loss.grad > 0 for loss in given_.values())
