"""Batches of a part on their device, made while the step before them runs.

An epoch of training, and the same one again after a restart:

    batches = shuffled(len(part), 32, seed=0, epoch=3)
    loaded = load(part, batches, labels=labels, prepare=dataset.prepare, device=device,
                  augmentation=augmentation, chance=draws(len(part), seed=0, epoch=3), workers=2)
    for batch in loaded:
        network(batch.images), batch.targets

The images of an epoch, their order and their changes depend on seed and epoch alone. Of several
processes, each may take a share of every batch: ``[batch[rank::count] for batch in batches]``.

Workers are threads: decoding, resampling and arithmetic on arrays leave Python's lock alone, arrays
are not copied between processes, and no process is left behind.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from branchsearch.datasets.augmentation import Augmentation, augment
from branchsearch.datasets.dataset import Label, Part


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B images and their targets, on one device.

    Attributes:
        positions: Which images of the part these are.
        images: As networks take them, channels last in memory.
        targets: By label name, as ``Part`` says, but floats as float32.
    """

    positions: Int[np.ndarray, " B"]
    images: Float[Tensor, "B 3 H W"]
    targets: Mapping[str, Tensor]


def shuffled(count: int, batch_size: int, *, seed: int, epoch: int) -> list[Int[np.ndarray, " _"]]:
    """All images of a part in chance order, in batches that differ by at most one image."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return np.array_split(order, -(-count // batch_size))


def in_order(count: int, batch_size: int) -> list[Int[np.ndarray, " _"]]:
    """All images of a part as they come, in batches of that size and a rest."""
    return [
        np.arange(start, min(start + batch_size, count)) for start in range(0, count, batch_size)
    ]


def load(
    part: Part,
    batches: Iterable[Int[np.ndarray, " B"]],
    *,
    labels: Mapping[str, Label],
    prepare: Callable[[Tensor], Tensor],
    device: torch.device,
    augmentation: Augmentation | None = None,
    chance: Float64[np.ndarray, "N D"] | None = None,
    workers: int = 0,
) -> Iterator[Batch]:
    """Load batches in the order given.

    Dropping the iterator ends the workers. With workers, the next ``workers + 1`` batches are held
    in memory, pinned if the device is a GPU.

    Args:
        part: Where images come from.
        batches: Positions of the images of each batch.
        labels: Which targets are wanted, and what they are.
        prepare: From colours in [0, 255] to what networks take, as ``Dataset.prepare``.
        device: Where the batches go.
        augmentation: How images and targets are changed; None leaves them as they are.
        chance: What ``draws`` gave for the whole part; needed to augment.
        workers: Threads that load ahead; 0 loads each batch when it is asked for.

    Raises:
        OSError: An image or a target that was readable is not any more; with its path.
    """
    if augmentation is not None and chance is None:
        raise ValueError("to augment, load needs what chance draws for every image")

    def read(positions: np.ndarray) -> Batch:
        images = _tensor(part.images[positions])
        targets = {name: _tensor(part.targets[name][positions]) for name in labels}
        batch = Batch(positions, images, targets)
        return _pinned(batch) if device.type == "cuda" else finish(batch)

    def finish(batch: Batch) -> Batch:
        images = batch.images.to(device, non_blocking=True)
        targets = {
            name: target.to(device, non_blocking=True) for name, target in batch.targets.items()
        }
        if augmentation is not None and chance is not None:
            drawn = chance[batch.positions]
            images, targets = augment(images, targets, labels, augmentation, drawn)
        return Batch(
            batch.positions,
            prepare(images).contiguous(memory_format=torch.channels_last),
            {name: _as_losses_take(target) for name, target in targets.items()},
        )

    loaded = map(read, batches) if workers == 0 else _ahead(read, batches, workers)
    # a GPU's part is done in the caller's thread, on the caller's stream
    return map(finish, loaded) if device.type == "cuda" else iter(loaded)


def _ahead(
    read: Callable[[np.ndarray], Batch], batches: Iterable[np.ndarray], workers: int
) -> Iterator[Batch]:
    left = iter(batches)
    with ThreadPoolExecutor(workers, thread_name_prefix="loader") as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            waiting.extend(pool.submit(read, positions) for positions in islice(left, workers + 1))
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(pool.submit(read, positions) for positions in islice(left, 1))
                yield batch
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _tensor(array: np.ndarray) -> Tensor:
    # a memory-mapped array is read only, and PyTorch takes no such array
    return torch.from_numpy(np.require(array, requirements="W"))


def _pinned(batch: Batch) -> Batch:
    targets = {name: target.pin_memory() for name, target in batch.targets.items()}
    return Batch(batch.positions, batch.images.pin_memory(), targets)


def _as_losses_take(target: Tensor) -> Tensor:
    return target.float() if target.is_floating_point() else target
