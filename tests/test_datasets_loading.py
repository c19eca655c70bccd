import threading
from typing import Any

import numpy as np
import pytest
import torch

from branchsearch.datasets.augmentation import Augmentation, augment, draws
from branchsearch.datasets.dataset import Label, Part
from branchsearch.datasets.loading import Batch, in_order, load, shuffled

CPU = torch.device("cpu")
LABELS = {"seg": Label("segmentation", classes=3), "depth": Label("depth")}


def part(count: int = 10) -> Part:
    rng = np.random.default_rng(0)
    return Part(
        rng.integers(0, 256, (count, 3, 4, 6), dtype=np.uint8),
        {
            "seg": rng.integers(0, 3, (count, 4, 6), dtype=np.uint8),
            "depth": rng.random((count, 1, 4, 6)).astype(np.float16),
        },
    )


def loaded(workers: int = 0, **changes: Any) -> list[Batch]:  # noqa: ANN401  # any argument
    source = part()
    arguments: dict[str, Any] = {
        "labels": LABELS,
        "prepare": torch.Tensor.float,
        "device": CPU,
        "workers": workers,
    }
    return list(load(source, shuffled(10, 4, seed=1, epoch=2), **{**arguments, **changes}))


def test_a_batch_holds_the_images_and_targets_asked_for():
    source = part()
    for batch in loaded():
        np.testing.assert_array_equal(batch.images.numpy(), source.images[batch.positions])
        for name, target in batch.targets.items():
            np.testing.assert_array_equal(target.numpy(), source.targets[name][batch.positions])
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.targets["depth"].dtype == torch.float32
        assert batch.targets["seg"].dtype == torch.uint8


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("augmentation", [None, Augmentation(flip=0.5, zoom=2, colour=0.2)])
def test_workers_change_nothing(workers: int, augmentation: Augmentation | None):
    chance = draws(10, seed=3, epoch=4)
    alone, ahead = (
        loaded(count, augmentation=augmentation, chance=chance) for count in (0, workers)
    )
    for one, other in zip(alone, ahead, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        assert torch.equal(one.images, other.images)
        assert all(torch.equal(one.targets[name], other.targets[name]) for name in LABELS)


def test_each_image_is_changed_by_what_chance_says_to_it():
    source, chance = part(), draws(10, seed=5, epoch=6)
    strong = Augmentation(flip=0.5, zoom=2, colour=0.2)
    targets = {name: torch.from_numpy(np.array(rows)) for name, rows in source.targets.items()}
    whole, _ = augment(torch.from_numpy(np.array(source.images)), targets, LABELS, strong, chance)
    for batch in loaded(augmentation=strong, chance=chance):
        assert torch.equal(batch.images, whole[batch.positions])


def test_every_image_comes_once_an_epoch_in_another_order_each():
    for count, size in [(10, 4), (3, 8), (8, 8)]:
        first, second = (shuffled(count, size, seed=0, epoch=epoch) for epoch in (0, 1))
        assert sorted(np.concatenate(first)) == list(range(count))
        assert max(map(len, first)) - min(map(len, first)) <= 1
        assert max(map(len, first)) <= size
        again = shuffled(count, size, seed=0, epoch=0)
        assert all(map(np.array_equal, first, again))
        if count == 10:
            assert not all(map(np.array_equal, first, second))
    assert [batch.tolist() for batch in in_order(5, 2)] == [[0, 1], [2, 3], [4]]


def test_dropping_the_iterator_ends_the_workers():
    batches = load(
        part(),
        shuffled(10, 1, seed=0, epoch=0),
        labels=LABELS,
        prepare=torch.Tensor.float,
        device=CPU,
        workers=2,
    )
    next(batches)
    assert any(thread.name.startswith("loader") for thread in threading.enumerate())
    del batches
    assert not any(thread.name.startswith("loader") for thread in threading.enumerate())


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_while_reading_reaches_the_caller(workers: int):
    def torn(_: torch.Tensor) -> torch.Tensor:
        raise OSError("torn.png")

    with pytest.raises(OSError, match=r"torn\.png"):
        loaded(workers, prepare=torn)


def test_chance_is_asked_for():
    with pytest.raises(ValueError, match="what chance draws"):
        loaded(augmentation=Augmentation(flip=0.5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gets_the_same_batches():
    for one, other in zip(loaded(2), loaded(2, device=torch.device("cuda")), strict=True):
        assert torch.equal(one.images, other.images.cpu())
