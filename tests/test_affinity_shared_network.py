from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor

from branchsearch.affinity.shared_network import Batch, Loss, read_batches
from branchsearch.model.branched import BranchedNetwork
from branchsearch.tree import Tree
from tests.networks import small

TASKS = ("a", "b", "c")
STEP = 0.05


def squared(predicted: Tensor, target: Tensor) -> Tensor:
    return (predicted - target).square().mean()


LOSSES: dict[str, Loss] = dict.fromkeys(TASKS, squared)


def shared() -> BranchedNetwork:
    torch.manual_seed(0)
    network = small(Tree.share_all(TASKS, 2))
    network(torch.randn(8, 3, 8, 8))  # gives batch norm statistics to keep
    return network


def batches(count: int = 3) -> list[Batch]:
    draw = torch.Generator().manual_seed(1)

    def noise(channels: int) -> Tensor:
        return torch.randn(4, channels, 8, 8, generator=draw)

    return [(noise(3), {task: noise(1) for task in TASKS}) for _ in range(count)]


def test_gradients_and_losses_are_those_of_steps_taken_by_hand():
    network = shared()
    readings = read_batches(network, batches(), LOSSES, step=STEP)
    assert readings.gradients.shape == (2, 3, 3, 3)
    assert readings.lookahead is not None
    images, targets = batches()[1]
    for stage in range(2):
        for one, task in enumerate(TASKS):
            stepped = deepcopy(network).eval()
            weights = list(stepped.stages[stage].parameters())
            LOSSES[task](stepped(images)[task], targets[task]).backward()
            with torch.no_grad():
                length = sum(float(weight.grad.double().square().sum()) for weight in weights)
                for weight in weights:
                    weight -= STEP * weight.grad
                after = [squared(stepped(images)[t], targets[t]).item() for t in TASKS]
                before = [squared(network.eval()(images)[t], targets[t]).item() for t in TASKS]
            assert readings.gradients[stage, 1, one, one] == pytest.approx(length, rel=1e-5)
            np.testing.assert_allclose(readings.lookahead.after[stage, 1, one], after, rtol=1e-5)
            np.testing.assert_allclose(readings.lookahead.before[1], before, rtol=1e-5)


def test_products_are_inner_products():
    products = read_batches(shared(), batches(), LOSSES, step=None).gradients
    np.testing.assert_allclose(products, products.swapaxes(2, 3))
    assert (np.linalg.eigvalsh(products) > -1e-9).all()


def test_a_step_down_a_tasks_own_gradient_lowers_its_loss():
    lookahead = read_batches(shared(), batches(), LOSSES, step=STEP).lookahead
    assert lookahead is not None
    own = lookahead.after[:, :, range(3), range(3)]
    assert (own < lookahead.before).all()


def test_weights_statistics_and_modes_stay_as_they_were():
    network = shared()
    network.train()
    before = deepcopy(network.state_dict())
    read_batches(network, batches(), LOSSES, step=STEP)
    assert all(module.training for module in network.modules())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(weight.grad is None for weight in network.parameters())


def test_a_task_that_sees_no_weight_has_a_gradient_of_zero():
    blind: dict[str, Loss] = {**LOSSES, "b": lambda predicted, _: (predicted * 0 + 1).mean()}
    products = read_batches(shared(), batches(1), blind, step=None).gradients
    assert (products[:, :, 1] == 0).all()


def test_a_network_that_branches_and_no_batch_are_refused():
    with pytest.raises(ValueError, match=r"where all tasks share, not in a\+b\+c > a,b,c"):
        read_batches(small(Tree.parse("a+b+c > a,b,c")), batches(), LOSSES, step=None)
    with pytest.raises(ValueError, match="no batch"):
        read_batches(shared(), [], LOSSES, step=None)
