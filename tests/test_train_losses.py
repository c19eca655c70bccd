import pytest
import torch
from torch import Tensor, nn

from branchsearch.train.labels import filled, known
from branchsearch.train.losses import (
    absolute_error,
    balanced_binary,
    binary,
    cosine,
    cosine_distance,
    cross_entropy,
    squared_error,
)
from tests.tasks import MANY, target_of, without

NAN = float("nan")


def drawn(outputs: int) -> Tensor:
    return torch.randn(12, outputs, 16, 16, generator=torch.Generator().manual_seed(3))


def some(kind: str) -> Tensor:
    """A target, as training hands it over, of which some images have no label."""
    target = without(kind, target_of(kind), slice(3, 6))
    return target.float() if target.is_floating_point() else target


@pytest.mark.parametrize(
    ("target", "there"),
    [
        (torch.tensor([0, 254, 255], dtype=torch.uint8), [True, True, False]),
        (torch.tensor([0, 255, -1]), [True, True, False]),
        (torch.tensor([0.0, -1.0, NAN]), [True, True, False]),
        (torch.tensor([0.0, -1.0, NAN], dtype=torch.float16), [True, True, False]),
    ],
)
def test_what_is_missing_follows_from_the_type(target: Tensor, there: list[bool]):
    assert known(target).tolist() == there


def test_what_is_missing_is_filled_and_nothing_else_changed():
    assert filled(torch.tensor([1.5, NAN, -2]).half()).tolist() == [1.5, 0, -2]


def test_pixelwise_pixels_without_a_label_do_not_count():
    predicted, target = drawn(1), target_of("depth").float()
    target[..., 9:] = NAN
    left = absolute_error(predicted[..., :9], target[..., :9])
    torch.testing.assert_close(absolute_error(predicted, target), left)


def test_cross_entropy_by_hand():
    predicted = torch.tensor([[1.0, 2.0], [0.0, 0.0], [7.0, 7.0]])
    target = torch.tensor([1, 0, -1])
    by_hand = (torch.log1p(torch.exp(torch.tensor(-1.0))) + torch.log(torch.tensor(2.0))) / 2
    torch.testing.assert_close(cross_entropy(predicted, target), by_hand)


def test_attributes_without_a_label_do_not_count_one_by_one():
    predicted = torch.tensor([[0.0, 5.0], [3.0, 0.0]])
    target = torch.tensor([[1.0, NAN], [NAN, 0.0]])
    torch.testing.assert_close(binary(predicted, target), torch.log(torch.tensor(2.0)))
    assert binary.count(target).tolist() == [2]


def test_squared_error_by_hand():
    assert squared_error(torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, NAN]])) == 4


def test_a_direction_counts_when_all_of_it_is_there():
    target = torch.ones(1, 3, 1, 3)
    target[0, 1, 0, 2] = NAN
    assert cosine_distance.count(target).tolist() == [2]


def test_edges_are_counted_off_and_on():
    target = torch.tensor([[[[0, 1, 0, 255]]]], dtype=torch.uint8)
    assert balanced_binary.count(target).tolist() == [2, 1]


def test_rare_edges_weigh_as_much_as_all_the_rest():
    target = torch.zeros(1, 1, 4, 4)
    target[0, 0, 0, 0] = 1
    predicted = torch.zeros(1, 1, 4, 4, requires_grad=True)
    balanced_binary(predicted, target).backward()
    on_edge = predicted.grad[target == 1].sum()
    torch.testing.assert_close(on_edge, -predicted.grad[target == 0].sum())


def test_parts_of_a_batch_share_how_rare_its_edges_are():
    predicted, target = drawn(1), torch.zeros(12, 1, 16, 16, dtype=torch.uint8)
    target[0] = 1  # all edges are in the first part
    labels = balanced_binary.count(target)
    parts = balanced_binary(predicted[:1], target[:1], labels) + balanced_binary(
        predicted[1:], target[1:], labels
    )
    torch.testing.assert_close(parts, balanced_binary(predicted, target))
    alone = balanced_binary(predicted[:1], target[:1]) + balanced_binary(predicted[1:], target[1:])
    assert not torch.isclose(alone, parts, rtol=0.1)


def test_the_length_of_a_predicted_direction_does_not_matter():
    target = torch.randn(1, 3, 2, 2)
    torch.testing.assert_close(cosine_distance(7 * target, target), torch.tensor(0.0))


# Four losses as they were while they were all there was: trainings from then are repeated exactly.


def old_cross_entropy(predicted: Tensor, target: Tensor) -> Tensor:
    labelled = (target != 255).sum().clamp(min=1)
    total = nn.functional.cross_entropy(predicted, target.long(), ignore_index=255, reduction="sum")
    return total / labelled


def old_absolute_error(predicted: Tensor, target: Tensor) -> Tensor:
    return old_mean((predicted - target.nan_to_num()).abs(), target.isfinite())


def old_cosine_distance(predicted: Tensor, target: Tensor) -> Tensor:
    there = target.isfinite().all(dim=1)
    return old_mean(1 - cosine(predicted, target.nan_to_num()), there)


def old_balanced_binary(predicted: Tensor, target: Tensor) -> Tensor:
    there = target != 255
    positive = (target == 1) & there
    share = positive.sum() / there.sum().clamp(min=1)
    loss = nn.functional.binary_cross_entropy_with_logits(
        predicted, positive.to(predicted), reduction="none"
    )
    return old_mean(torch.where(positive, 1 - share, share) * loss, there)


def old_mean(values: Tensor, there: Tensor) -> Tensor:
    return (values * there).sum() / there.sum().clamp(min=1)


@pytest.mark.parametrize(
    ("kind", "outputs", "loss", "old"),
    [
        ("segmentation", MANY, cross_entropy, old_cross_entropy),
        ("depth", 1, absolute_error, old_absolute_error),
        ("normals", 3, cosine_distance, old_cosine_distance),
        ("edges", 1, balanced_binary, old_balanced_binary),
    ],
)
def test_the_first_four_losses_keep_every_bit(kind, outputs, loss, old):  # noqa: ANN001
    target = some(kind)
    new, before = (drawn(outputs).requires_grad_() for _ in range(2))
    ours, theirs = loss(new, target), old(before, target)
    assert torch.equal(ours, theirs)
    ours.backward()
    theirs.backward()
    assert torch.equal(new.grad, before.grad)
