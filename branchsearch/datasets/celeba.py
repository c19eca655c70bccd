"""CelebA: aligned and cropped faces, with attributes and landmarks.

Source: Z. Liu, P. Luo, X. Wang and X. Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from branchsearch.datasets.arguments import absolute, reading
from branchsearch.datasets.dataset import Label
from branchsearch.datasets.image_files import ImageFiles
from branchsearch.datasets.layouts import listing, names_in
from branchsearch.datasets.listing import InvalidListing, Maps, Read, Values
from branchsearch.datasets.split import SHARES

_PARTS = {"0": "train", "1": "validation", "2": "test"}

#: As their file has them.
_LANDMARKS = Label(
    "keypoints",
    count=5,
    swaps=((0, 1), (3, 4)),
    names=("left_eye", "right_eye", "nose", "left_mouth", "right_mouth"),
)

#: Spread of a landmark's heat, as a part of the image's width.
_SPREAD = 0.04


def celeba(
    *,
    folder: str,
    size: int | Sequence[int],
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
    unreadable: float = 0.0,
    cache_mib: float = 4096,
) -> ImageFiles:
    """CelebA: 40 attributes, each a task of its own or all in one, and five landmarks of faces.

    Images are ``img_align_celeba/<name>``. Labels are one per attribute, by its name in
    ``list_attr_celeba.txt``; ``attributes``, all 40 together; and, where
    ``list_landmarks_align_celeba.txt`` is there, ``landmarks`` (heat maps). The files may also lie
    in ``Img``, ``Anno`` and ``Eval``, as they are published. ``list_eval_partition.txt`` gives
    train, validation and test; probe is taken from train by content.

    Args:
        folder: Where the files lie, absolute or from ``~``.
        size: Height and width of the images in pixels, or one number for both.
        shares: How probe shares train.
        seed: Of that.
        unreadable: The part of all images that may be left out because they are torn.
        cache_mib: Up to so many MiB, decoded images are kept in files.

    Raises:
        InvalidListing: A list or an image is not there, or a list is no such list.
        ValueError: Naming the argument that cannot be meant.
    """
    root = absolute(folder, "folder")
    partition = _found(root, "Eval", "list_eval_partition.txt")
    part_of = dict(line.split() for line in names_in(partition))
    names = list(part_of)
    columns, attributes = _numbers(_found(root, "Anno", "list_attr_celeba.txt"), names)
    present = (attributes > 0).astype(np.float32)
    labels: dict[str, Values | Maps] = {
        name: Values(Label("attributes", count=1), present[:, [column]])
        for column, name in enumerate(columns)
    }
    together = Label("attributes", count=len(columns), names=tuple(columns))
    labels["attributes"] = Values(together, present)
    pictures = _found(root, "Img", "img_align_celeba")
    images = [pictures / name for name in names]
    marks = _found(root, "Anno", "list_landmarks_align_celeba.txt")
    if marks.is_file():
        points = _numbers(marks, names)[1].reshape(len(names), -1, 2)
        labels["landmarks"] = Maps(
            _LANDMARKS, images, _heat(dict(zip(images, points, strict=True)))
        )
    parts = [_part(partition, part) for part in part_of.values()]
    how = reading(size, shares, seed, unreadable, cache_mib)
    rows = listing(root, names, images, parts, labels, also=[marks])
    return ImageFiles("celeba", rows, how)


def _found(root: Path, inside: str, name: str) -> Path:
    within = root / inside / name
    return within if within.exists() else root / name


def _part(source: Path, number: str) -> str:
    if number not in _PARTS:
        raise InvalidListing(source, [f"no part {number!r}; there are 0, 1 and 2"])
    return _PARTS[number]


def _numbers(path: Path, names: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The column names and, for each image's name, its row: [N, columns]."""
    _, header, *lines = names_in(path)
    columns = header.split()
    rows = {name: cells for name, *cells in map(str.split, lines)}
    faults = [f"no row for {name!r}" for name in names if name not in rows]
    faults += [
        f"{name}: {len(rows[name])} numbers under {len(columns)} names"
        for name in names
        if len(rows.get(name, columns)) != len(columns)
    ]
    if faults:
        raise InvalidListing(path, faults)
    return columns, np.array([rows[name] for name in names], np.float32)


def _heat(points: Mapping[Path, np.ndarray]) -> Read:
    """Draws each image's landmarks [5, 2] (x, y in its pixels) as heat, highest where they are."""

    def read(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            width, height = image.size
        x, y = points[path].T[:, :, None, None]
        rows, columns = np.arange(height)[:, None], np.arange(width)
        squares = (rows - y) ** 2 + (columns - x) ** 2
        heat: np.ndarray = np.exp(-squares / (2 * (_SPREAD * width) ** 2)).astype(np.float32)
        return heat

    return read
