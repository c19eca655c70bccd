import math

import pytest
import torch

from branchsearch import catalog
from branchsearch.datasets.dataset import UNLABELLED
from branchsearch.task import KINDS, METRICS, Direction, Task


def task_of(metric: str) -> Task:
    kind = next(name for name, kind in KINDS.items() if metric in kind.metrics)
    classes = 3 if KINDS[kind].outputs is None else None
    return Task("t", kind, metric, METRICS[metric], classes=classes)


def measured(metric: str, *batches: tuple[torch.Tensor, torch.Tensor]) -> float:
    judge = catalog.find("metric", metric)(task_of(metric))
    for predicted, target in batches:
        judge.update(predicted, target)
    return float(judge.compute())


def one_hot(classes: list[int]) -> torch.Tensor:
    return torch.eye(3)[classes].T.reshape(1, 3, 1, len(classes))


def test_mean_iou_by_hand():
    predicted = one_hot([0, 0, 1, 1, 2])
    target = torch.tensor([[[0, 1, 1, 1, UNLABELLED]]], dtype=torch.uint8)
    # class 0: 1 of 2; class 1: 2 of 3; class 2 is neither there nor, but for one unlabelled pixel,
    # predicted
    assert measured("mean_iou", (predicted, target)) == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-6)


def test_rmse_by_hand_over_batches():
    target = torch.tensor([[[[0.0, float("nan")]]]])
    batches = [(torch.tensor([[[[3.0, 9.0]]]]), target), (torch.tensor([[[[4.0, 9.0]]]]), target)]
    assert measured("rmse", *batches) == pytest.approx(math.sqrt((9 + 16) / 2))


def test_angular_error_by_hand():
    predicted = torch.tensor([[2.0, 0, 0], [0, 5, 0]]).T.reshape(1, 3, 1, 2)
    target = torch.tensor([[1.0, 0, 0], [1, 0, 0]]).T.reshape(1, 3, 1, 2)
    assert measured("angular_error", (predicted, target)) == pytest.approx(45, abs=1e-3)


def test_average_precision_of_a_perfect_ranking_is_one():
    target = torch.tensor([[[[1, 0, 1, 0]]]], dtype=torch.uint8)
    assert measured("average_precision", (4 * (target.float() - 0.5), target)) == pytest.approx(1)


@pytest.mark.parametrize("metric", METRICS)
def test_the_direction_is_the_one_in_which_better_predictions_move(metric: str):
    draw = torch.Generator().manual_seed(1)
    kind = task_of(metric).kind
    if kind == "segmentation":
        target = torch.randint(0, 3, (1, 8, 8), generator=draw, dtype=torch.uint8)
        truth = torch.nn.functional.one_hot(target.long(), 3).permute(0, 3, 1, 2).float()
    elif kind == "edges":
        target = torch.randint(0, 2, (1, 1, 8, 8), generator=draw, dtype=torch.uint8)
        truth = 6 * (target.float() - 0.5)
    else:
        target = truth = torch.randn(1, KINDS[kind].outputs, 8, 8, generator=draw)
    noise = torch.randn(truth.shape, generator=draw)
    good, bad = (measured(metric, (truth + amount * noise, target)) for amount in (0.1, 3))
    assert (good > bad) == (METRICS[metric] is Direction.MAXIMIZE)
