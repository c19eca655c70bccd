"""What a network makes of the probe images, at every stage, read in one pass.

Shape letters: K = probe images, F = features of one image at one stage, f = columns of a chunk,
S = stages.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

#: Bytes of one network's features that are held in memory; stages beyond go through a file.
IN_MEMORY = 2**30

#: Probe images that a comparison needs: of two there is one pair, and nothing to rank.
FEWEST = 3

#: Probe images that pass through a network at once.
AT_ONCE = 100

#: Columns of a chunk: of 500 images in single precision, 16 MB.
_COLUMNS = 2**13

#: What is read where; numpy knows no bfloat16.
_KEPT_AS = {torch.bfloat16: torch.float32}


class NotComparable(ValueError):
    """What a measure asks for cannot be had or compared; the message says whose, where and why."""


@torch.no_grad()
def stage_features(
    network: nn.Module,
    stages: Sequence[nn.Module],
    batches: Iterable[Tensor],
    *,
    images: int,
    in_memory: int = IN_MEMORY,
    folder: Path | None = None,
) -> list[Shaped[Tensor, "K _"]]:
    """Read the flattened features that every stage gives, for any network.

    Stages are read in the order in which they run. Those that do not fit in memory are written to
    files without a name and mapped: the space is given back when the tensors are let go of, and
    also when the process is killed. The network is put back into the mode that it was in.

    Args:
        network: Takes a batch of images.
        stages: The S modules in it to read. Each runs once per batch and gives a tensor whose first
            axis is the images (maps, tokens or vectors), or a tuple or list that starts with one.
        batches: What the network takes, K images in all, on the network's device.
        images: K, at least ``FEWEST``.
        in_memory: Bytes to hold in memory.
        folder: Where files go; the system's own place for temporary files unless given.

    Returns:
        Shape [S] of [K, F], F its own at each stage, in the precision in which the network gives
        them (bfloat16 as float32); in memory on the network's device, else mapped.

    Raises:
        NotComparable: Fewer than 3 images, or a stage that does not give features of every image.
            Features that are there but cannot be compared are refused by the measures.
        OSError: The files do not fit in the folder.
    """
    if images < FEWEST:
        raise NotComparable(f"needs at least {FEWEST} probe images, got {images}")
    room = _Room(in_memory, folder)
    spools = [_Spool(stage, images, room) for stage in range(len(stages))]
    with room, only_reading(network), ExitStack() as hooks:
        for stage, spool in zip(stages, spools, strict=True):
            hooks.callback(_listen(stage, spool.add).remove)
        for batch in batches:
            network(batch)
        return [spool.finish() for spool in spools]


def column_chunks(
    features: Shaped[Tensor, "K F"], device: torch.device
) -> Iterator[Shaped[Tensor, "K _"]]:
    """Features in chunks of columns, as measures take them; mapped ones are read a chunk at a time.

    Args:
        features: Of K images.
        device: Where the chunks are wanted.
    """
    for start in range(0, features.shape[1], _COLUMNS):
        yield features[:, start : start + _COLUMNS].to(device)


def feature_bytes(stages: Sequence[nn.Module], size: tuple[int, int], images: int) -> list[int]:
    """Bytes of one network's single-precision features at every stage, without running it.

    Args:
        stages: Of a backbone, in order; the first takes 3 channels.
        size: Height and width of the images, in pixels.
        images: How many.
    """
    features = torch.empty(1, 3, *size, device="meta")
    sizes = []
    with torch.no_grad():
        for stage in stages:
            features = deepcopy(stage).to("meta").eval()(features)
            sizes.append(4 * images * features.numel())
    return sizes


def spooled_bytes(sizes: Sequence[int], *, in_memory: int = IN_MEMORY) -> int:
    """How much of features of those sizes ``stage_features`` puts into files."""
    room = _Room(in_memory, None)
    return sum(size for size in sizes if not room.take(size))


@contextmanager
def only_reading(network: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode, so that reading changes nothing; then back."""
    before = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


class _Room:
    """Memory that may still be taken, and the files for what has none."""

    def __init__(self, in_memory: int, folder: Path | None) -> None:
        self._left, self._folder = in_memory, folder
        self._open = ExitStack()

    def __enter__(self) -> "_Room":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()  # what is mapped stays until nobody holds it

    def take(self, wanted: int) -> bool:
        if wanted > self._left:
            return False
        self._left -= wanted
        return True

    def file(self) -> IO[bytes]:
        return self._open.enter_context(tempfile.TemporaryFile(dir=self._folder))


class _Spool:
    """Rows of one stage's features, as they come: in memory, or in a file that has no name."""

    def __init__(self, stage: int, images: int, room: _Room) -> None:
        self._stage, self._images, self._room = stage, images, room
        self._read = 0

    def add(self, output: Any) -> None:  # noqa: ANN401  # whatever a module gives
        """Keep the features of a batch at once: a later stage may change them in place."""
        rows = _tensor(output, self._stage).flatten(start_dim=1)
        rows = rows.to(_KEPT_AS.get(rows.dtype, rows.dtype))
        if self._read == 0:
            self._open(rows)
        elif (rows.shape[1], rows.dtype) != (self._columns, self._precision):
            raise NotComparable(
                f"stage {self._stage} gave {self._columns} features of {self._precision} for an "
                f"image, and then {rows.shape[1]} of {rows.dtype}"
            )
        self._write(rows)
        self._read += len(rows)

    def finish(self) -> Tensor:
        """All rows, [K, F]."""
        if self._read != self._images:
            raise NotComparable(
                f"stage {self._stage} gave features of {self._read} images, "
                f"but {self._images} were shown"
            )
        if self._memory is not None:
            return self._memory
        self._file.flush()
        shape = (self._images, self._columns)
        # private to this process, so that it may be a tensor; nothing is written to it
        return torch.from_numpy(np.memmap(self._file, self._dtype, mode="c", shape=shape))

    def _open(self, rows: Tensor) -> None:
        self._columns, self._precision = rows.shape[1], rows.dtype
        self._dtype = rows.new_empty(0, device="cpu").numpy().dtype
        self._memory: Tensor | None = None
        if self._room.take(self._images * rows.shape[1] * rows.element_size()):
            self._memory = rows.new_empty(self._images, rows.shape[1])
        else:
            self._file = self._room.file()

    def _write(self, rows: Tensor) -> None:
        if self._read + len(rows) > self._images:
            return  # counted, and refused in the end
        if self._memory is not None:
            self._memory[self._read : self._read + len(rows)] = rows
        else:
            # written, not mapped: on a full disk a write raises, a mapped page kills us
            self._file.write(rows.cpu().numpy().tobytes())


def _listen(module: nn.Module, add: Callable[[Any], None]) -> RemovableHandle:
    return module.register_forward_hook(lambda _module, _inputs, output: add(output))


def _tensor(output: Any, stage: int) -> Float[Tensor, "batch ..."]:  # noqa: ANN401
    """The features in what a stage gives."""
    first = output[0] if isinstance(output, (tuple, list)) and output else output
    if not isinstance(first, Tensor) or not first.is_floating_point() or first.dim() < 2:
        raise NotComparable(f"stage {stage} gives no batch of features but {type(first).__name__}")
    return first
