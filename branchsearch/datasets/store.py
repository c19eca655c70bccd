"""Data sets as arrays on disk: written once, memory-mapped by every process that reads them.

A folder holds ``dataset.json`` and, for each part, ``<part>/images.npy`` and one
``<part>/<label>.npy`` per label name.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from hashlib import file_digest, sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from branchsearch.datasets.dataset import PARTS, Dataset, Label, Part
from branchsearch.files import whole_folder

_SUMMARY = "dataset.json"
_IMAGES = "images"

#: From a part and an index to one image, under ``images``, and its targets, under their label
#: names: each like one entry of ``Part``'s arrays. Called again, it gives the same.
Draw = Callable[[str, int], Mapping[str, np.ndarray]]


def stored(
    folder: Path, labels: Mapping[str, Label], counts: Mapping[str, int], draw: Draw
) -> Dataset:
    """Open the data set in a folder; the first caller writes it.

    It is written beside the folder and moved into place once it is whole. Of several processes that
    write it at once, the first to finish wins and all use its result. Memory holds one image at a
    time.

    Args:
        folder: The data set's own; its name stands for everything that the content depends on.
        labels: What the images are labelled with, by name.
        counts: How many images each part has, at least 1.
        draw: Makes the images.

    Raises:
        OSError: The folder cannot be written or read; with the path. Nothing half-written is left.
    """
    if not (folder / _SUMMARY).is_file():
        try:
            with whole_folder(folder) as work:
                _write(work, counts, draw)
        except OSError as error:
            if error.filename is not None:
                raise
            # a full disk does not say which file did not fit
            raise OSError(error.errno, error.strerror, str(folder)) from error
    summary = json.loads((folder / _SUMMARY).read_text())
    return Dataset(
        labels=labels,
        parts={part: _open_part(folder / part, labels) for part in PARTS},
        mean=tuple(summary["mean"]),
        std=tuple(summary["std"]),
        fingerprint=summary["fingerprint"],
    )


def _open_part(folder: Path, labels: Mapping[str, Label]) -> Part:
    images = np.load(folder / f"{_IMAGES}.npy", mmap_mode="r")
    return Part(images, {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in labels})


def _write(folder: Path, counts: Mapping[str, int], draw: Draw) -> None:
    for part in PARTS:
        _write_part(folder / part, part, counts[part], draw)
    mean, std = _colours(np.load(folder / "train" / f"{_IMAGES}.npy", mmap_mode="r"))
    summary = {"fingerprint": _fingerprint(folder), "mean": mean, "std": std}
    (folder / _SUMMARY).write_text(json.dumps(summary, indent=2))


def _write_part(folder: Path, part: str, count: int, draw: Draw) -> None:
    folder.mkdir()
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for index in range(count):
            for name, array in draw(part, index).items():
                if index == 0:
                    files[name] = stack.enter_context((folder / f"{name}.npy").open("xb"))
                    _write_header(files[name], count, array)
                # written, not mapped: on a full disk a write raises, a mapped page kills us
                files[name].write(array.tobytes())


def _write_header(file: BinaryIO, count: int, entry: np.ndarray) -> None:
    shape = (count, *entry.shape)
    descr = npy.dtype_to_descr(entry.dtype)
    npy.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})


def _colours(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per colour, in [0, 1], of uint8 images [N, 3, H, W]."""
    sums, squares = np.zeros((2, 3))
    for image in images:
        values = image.reshape(3, -1) / 255
        sums += values.sum(axis=1)
        squares += np.square(values).sum(axis=1)
    pixels = images.size / 3
    mean = sums / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    return mean.tolist(), std.tolist()


def _fingerprint(folder: Path) -> str:
    """A hash of all arrays: their names, types, shapes and values."""
    content = sha256()
    for path in sorted(folder.glob("*/*.npy")):
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        content.update(f"{path.relative_to(folder)} {digest}\n".encode())
    return content.hexdigest()
