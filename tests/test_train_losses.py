import pytest
import torch
from torch import Tensor

from branchsearch import catalog
from branchsearch.datasets.dataset import UNLABELLED
from branchsearch.task import KINDS
from branchsearch.train.losses import (
    absolute_error,
    balanced_binary,
    cosine_distance,
    cross_entropy,
)

MISSING = {"segmentation": UNLABELLED, "depth": float("nan"), "normals": float("nan"), "edges": 255}


def sample(kind: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A random prediction and target of two images of 4 x 4 pixels."""
    draw = torch.Generator().manual_seed(seed)
    outputs = KINDS[kind].outputs or 3
    predicted = torch.randn(2, outputs, 4, 4, generator=draw, requires_grad=True)
    if kind == "segmentation":
        return predicted, torch.randint(0, 3, (2, 4, 4), generator=draw, dtype=torch.uint8)
    if kind == "edges":
        return predicted, torch.randint(0, 2, (2, 1, 4, 4), generator=draw, dtype=torch.uint8)
    return predicted, torch.randn(2, outputs, 4, 4, generator=draw)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_labels_loses_nothing_and_trains_nothing(kind: str):
    predicted, target = sample(kind)
    loss = catalog.find("loss", KINDS[kind].loss)(predicted, torch.full_like(target, MISSING[kind]))
    loss.backward()
    assert loss == 0
    assert (predicted.grad == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_without_a_label_do_not_count(kind: str):
    loss = catalog.find("loss", KINDS[kind].loss)
    predicted, target = sample(kind)
    target[..., 2:] = MISSING[kind]
    left = loss(predicted[..., :2].contiguous(), target[..., :2].contiguous())
    torch.testing.assert_close(loss(predicted, target), left)


@pytest.mark.parametrize("kind", KINDS)
def test_following_the_gradient_lowers_the_loss(kind: str):
    loss = catalog.find("loss", KINDS[kind].loss)
    predicted, target = sample(kind)
    before = loss(predicted, target)
    before.backward()
    assert loss(predicted.detach() - 0.1 * predicted.grad, target) < before


def test_perfect_predictions_lose_nothing():
    target = torch.randn(1, 3, 2, 2)
    assert absolute_error(target[:, :1], target[:, :1]) == 0
    torch.testing.assert_close(cosine_distance(7 * target, target), torch.tensor(0.0))
    sure = torch.tensor([[[[50.0]], [[-50.0]]]])
    assert cross_entropy(sure, torch.zeros(1, 1, 1, dtype=torch.uint8)) < 1e-6


def test_rare_edges_weigh_as_much_as_all_the_rest():
    target = torch.zeros(1, 1, 4, 4)
    target[0, 0, 0, 0] = 1
    predicted = torch.zeros(1, 1, 4, 4, requires_grad=True)
    balanced_binary(predicted, target).backward()
    on_edge = predicted.grad[target == 1].sum()
    torch.testing.assert_close(on_edge, -predicted.grad[target == 0].sum())
