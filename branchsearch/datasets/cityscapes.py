"""Cityscapes as its packages unpack: leftImg8bit, gtFine, disparity and camera.

Source: M. Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding",
CVPR 2016.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from branchsearch.datasets.arguments import absolute, reading
from branchsearch.datasets.dataset import UNLABELLED, Label
from branchsearch.datasets.image_files import ImageFiles
from branchsearch.datasets.layouts import existing, listing
from branchsearch.datasets.listing import InvalidListing, Maps
from branchsearch.datasets.maps import FARTHEST, Unreadable, read_array
from branchsearch.datasets.split import SHARES

#: The 19 classes that are evaluated, by their number in ``labelIds``.
_EVALUATED = {
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}

_IMAGE = "_leftImg8bit.png"


def cityscapes(
    *,
    folder: str,
    size: int | Sequence[int],
    farthest: float = 80.0,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
    unreadable: float = 0.0,
    cache_mib: float = 4096,
) -> ImageFiles:
    """Cityscapes: 19 classes, and depth in metres from disparity, of streets.

    The published train gives the parts train, validation and probe, by content, and the published
    val the part test; the published test has no labels. Images are
    ``leftImg8bit/<part>/<city>/<name>_leftImg8bit.png``; labels are ``seg``
    (``gtFine/.../<name>_gtFine_labelIds.png``) and ``depth``
    (``disparity/.../<name>_disparity.png`` with ``camera/.../<name>_camera.json``).

    Args:
        folder: Where the packages were unpacked, absolute or from ``~``.
        size: Height and width of the images in pixels, or one number for both.
        farthest: Distances beyond it, in metres, are missing: a disparity there is six pixels or
            fewer, so that one pixel's error is a sixth of the distance or more.
        shares: How validation and probe share train.
        seed: Of that.
        unreadable: The part of all images that may be left out because they are torn.
        cache_mib: Up to so many MiB, decoded images are kept in files.

    Raises:
        InvalidListing: There are no images.
        ValueError: Naming the argument that cannot be meant.
    """
    if not 0 < farthest <= FARTHEST:
        raise ValueError(f"farthest must be in (0, {FARTHEST:g}] metres, got {farthest}")
    root = absolute(folder, "folder")
    train, val = (
        sorted((root / "leftImg8bit" / part).glob(f"*/*{_IMAGE}")) for part in ("train", "val")
    )
    if not train or not val:
        raise InvalidListing(root, [f"no leftImg8bit/train/<city>/<name>{_IMAGE}, or none of val"])
    images = [*train, *val]

    def beside(package: str, ending: str) -> list[Path | None]:
        places = [root / package / image.relative_to(root / "leftImg8bit") for image in images]
        return existing(
            place.with_name(place.name.removesuffix(_IMAGE) + ending) for place in places
        )

    labels = {
        "seg": Maps(
            Label("segmentation", len(_EVALUATED), names=tuple(_EVALUATED.values())),
            beside("gtFine", "_gtFine_labelIds.png"),
            read_classes,
        ),
        "depth": Maps(
            Label("depth"),
            beside("disparity", "_disparity.png"),
            partial(read_depth, farthest=farthest),
            how=f"up to {farthest} m",
        ),
    }
    disparities = labels["depth"].paths
    cameras = [camera_of(path) for path in disparities if path is not None]
    names = [image.name.removesuffix(_IMAGE) for image in images]
    parts = ["train"] * len(train) + ["test"] * len(val)
    how = reading(size, shares, seed, unreadable, cache_mib)
    rows = listing(root, names, images, parts, labels, also=cameras)
    return ImageFiles("cityscapes", rows, how)


def read_classes(path: Path) -> np.ndarray:
    """The evaluated classes, [H, W]; any other is missing.

    Raises:
        Unreadable: The file is torn.
    """
    numbers = np.full(256, UNLABELLED, np.uint8)
    numbers[list(_EVALUATED)] = np.arange(len(_EVALUATED))
    classes: np.ndarray = numbers[read_array(path)]
    return classes


def read_depth(path: Path, *, farthest: float) -> np.ndarray:
    """Distances in metres along the line of sight's axis, [1, H, W], float32, NaN where unknown.

    A pixel p of the file is 0 where nothing was found, else a disparity of (p - 1) / 256 pixels. A
    distance beyond ``farthest`` is unknown, too.

    Raises:
        Unreadable: The file, or the one of its camera, is torn or not there.
    """
    pixels = read_array(path).astype(np.float32)
    camera = camera_of(path)
    try:
        told = json.loads(camera.read_text())
        factor = told["extrinsic"]["baseline"] * told["intrinsic"]["fx"]
    except (OSError, ValueError, KeyError) as error:
        raise Unreadable(0, f"is no camera: {error!r}", str(camera)) from error
    disparity = np.where(pixels > 1, (pixels - 1) / 256, np.nan)
    depth: np.ndarray = factor / disparity
    return np.where(depth <= farthest, depth, np.nan).astype(np.float32)[None]


def camera_of(disparity: Path) -> Path:
    """The file of the camera that a disparity was seen with."""
    root, city = disparity.parents[3], disparity.parent
    name = disparity.name.removesuffix("_disparity.png") + "_camera.json"
    return root / "camera" / city.parent.name / city.name / name
