"""Features that somebody else has read, from an .npz file.

The file holds one array per stage and task under ``<stage>/<task>``, as in ``0/depth``: features of
shape [K, F] or [K, ...], of the same K probe images in the same order; stages count from 0, and F
may differ everywhere. Beside them ``images/<task>`` may hold the K images' names or numbers, so
that features of different images are noticed. ``numpy.savez(path, **{"0/depth": array, ...})``
writes such a file.
"""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from branchsearch.affinity.evidence import Features, Gram, gram
from branchsearch.affinity.features import FEWEST, NotComparable
from branchsearch.tree import Tree

#: Where the images are named, in place of a stage.
_IMAGES = "images"


def read_archive(path: Path, *, device: torch.device) -> tuple[tuple[str, ...], Features]:
    """Read a file of features, one array at a time.

    Args:
        path: Of the file.
        device: Where products are taken.

    Returns:
        The T task names, sorted, and for every stage and task what measures read.

    Raises:
        NotComparable: The file is none, lacks an array, or holds features that cannot be compared,
            of different images or of fewer than 3; the message names file, stage and task.
        OSError: It cannot be read.
    """
    try:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise NotComparable("is no .npz file")
        with np.load(path, allow_pickle=False) as arrays:
            tasks, stages = _layout(arrays)
            _refuse_other_images(arrays, tasks)
            grams = [
                [_gram(arrays, stage, task, device) for task in tasks] for stage in range(stages)
            ]
            _refuse_other_numbers(grams, tasks)
            _refuse_other_names(arrays, tasks, grams[0][0].images)
    except (ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise NotComparable(f"{path}: {error}") from error
    return tasks, grams


def _layout(arrays: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """Tasks and number of stages, of which no pair may be missing."""
    found: dict[int, set[str]] = {}
    for key in arrays:
        place, _, task = key.partition("/")
        if place == _IMAGES:
            continue
        if not place.isdecimal() or str(int(place)) != place or not task:
            raise NotComparable(f"no array is called {key!r}, but '<stage>/<task>' as in '0/depth'")
        found.setdefault(int(place), set()).add(task)
    tasks = tuple(sorted(set[str]().union(*found.values())))
    for stage in range(max(found, default=0) + 1):
        if missing := sorted(set(tasks) - found.get(stage, set[str]())):
            raise NotComparable(f"lacks '{stage}/{missing[0]}'")
    if len(tasks) < 2:
        raise NotComparable(f"has features of {len(tasks)} tasks, and two are the least to compare")
    Tree.share_all(tasks, 1)  # refuses names that no tree can hold
    return tasks, len(found)


def _refuse_other_images(arrays: Mapping[str, Any], tasks: tuple[str, ...]) -> None:
    named = _named(arrays, tasks)
    for task, images in named.items():
        first = next(iter(named))
        if not np.array_equal(images, named[first]):
            raise NotComparable(
                f"tasks {first!r} and {task!r} saw different probe images, or in another order"
            )


def _refuse_other_names(arrays: Mapping[str, Any], tasks: tuple[str, ...], images: int) -> None:
    for task, names in _named(arrays, tasks).items():
        if names.shape != (images,):
            raise NotComparable(
                f"'{_IMAGES}/{task}' has the shape {names.shape}, and names {images} images"
            )


def _named(arrays: Mapping[str, Any], tasks: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {task: _read(arrays, key) for task in tasks if (key := f"{_IMAGES}/{task}") in arrays}


def _read(arrays: Mapping[str, Any], key: str) -> np.ndarray:
    array = arrays[key]
    if not isinstance(array, np.ndarray):  # a member that is no .npy file comes as bytes
        raise NotComparable(f"'{key}' is no array")
    return array


def _refuse_other_numbers(grams: Features, tasks: tuple[str, ...]) -> None:
    images = grams[0][0].images
    for stage, row in enumerate(grams):
        for task, kept in zip(tasks, row, strict=True):
            if kept.images != images:
                raise NotComparable(
                    f"{task} at stage {stage} has features of {kept.images} images, "
                    f"{tasks[0]} at stage 0 of {images}: all must see the same probe images"
                )
    if images < FEWEST:
        raise NotComparable(f"needs at least {FEWEST} probe images, got {images}")


def _gram(arrays: Mapping[str, Any], stage: int, task: str, device: torch.device) -> Gram:
    array = _read(arrays, f"{stage}/{task}")
    if array.dtype.kind not in "fiu" or array.ndim < 2:
        raise NotComparable(
            f"'{stage}/{task}' is no array of numbers [images, features], "
            f"but {array.dtype} of shape {array.shape}"
        )
    if array.dtype not in (np.float16, np.float32, np.float64):
        array = array.astype(np.float64)
    flat = torch.from_numpy(np.ascontiguousarray(array)).flatten(start_dim=1)
    return gram(flat.to(device), source=f"{task} at stage {stage}")
