"""PASCAL-Context in the layout of the multi-task archive ``PASCAL_MT.tgz``.

Sources: R. Mottaghi et al., "The Role of Context for Object Detection and Semantic Segmentation in
the Wild", CVPR 2014; X. Chen et al., "Detect What You Can", CVPR 2014 (parts); the archive, with
normals and saliency taken from networks, goes with K.-K. Maninis, I. Radosavovic and I. Kokkinos,
"Attentive Single-Tasking of Multiple Tasks", CVPR 2019.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from branchsearch.datasets.arguments import absolute, reading
from branchsearch.datasets.dataset import Label
from branchsearch.datasets.image_files import ImageFiles
from branchsearch.datasets.layouts import existing, listing, names_in
from branchsearch.datasets.listing import Maps, Read
from branchsearch.datasets.maps import MapFormat, Unreadable, map_reader, refusing_torn
from branchsearch.datasets.split import SHARES

#: Which of six groups a person's part belongs to: head, torso, upper and lower arms, upper and
#: lower legs. A part's name may begin with the side it is on.
_PARTS = {
    "head": ("hair", "head", "ear", "ebrow", "eye", "mouth", "nose"),
    "torso": ("neck", "torso"),
    "upper_arm": ("uarm",),
    "lower_arm": ("larm", "hand"),
    "upper_leg": ("uleg",),
    "lower_leg": ("lleg", "foot"),
}
_GROUPS = {part: number for number, parts in enumerate(_PARTS.values(), 1) for part in parts}


def pascal_context(
    *,
    folder: str,
    size: int | Sequence[int],
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
    unreadable: float = 0.0,
    cache_mib: float = 4096,
) -> ImageFiles:
    """PASCAL-Context: 21 classes, parts of people, normals, saliency and edges.

    ``ImageSets/Context/train.txt`` gives the parts train, validation and probe, by content, and
    ``val.txt`` the part test. Images are ``JPEGImages/<name>.jpg``. Labels are ``seg``
    (``semseg/pascal-context``, PNG), ``parts`` (``human_parts``, MAT; 7 classes, 0 where no person
    is), ``normals`` (``normals_distill``, PNG), ``saliency`` (``sal_distill``, PNG) and ``edges``
    (where the classes of ``pascal-context/trainval``, MAT, change).

    Args:
        folder: Where the archive was unpacked, absolute or from ``~``.
        size: Height and width of the images in pixels, or one number for both.
        shares: How validation and probe share train.
        seed: Of that.
        unreadable: The part of all images that may be left out because they are torn.
        cache_mib: Up to so many MiB, decoded images are kept in files.

    Raises:
        InvalidListing: A list or an image is not there.
        ValueError: Naming the argument that cannot be meant.
    """
    root = absolute(folder, "folder")
    lists = root / "ImageSets" / "Context"
    train, val = (names_in(lists / f"{part}.txt") for part in ("train", "val"))
    names = [*train, *val]

    def maps(label: Label, place: str, ending: str, read: Read) -> Maps:
        return Maps(label, existing(root / place / f"{name}{ending}" for name in names), read)

    names_of_parts = ("background", *_PARTS)
    parts_of_people = Label("segmentation", len(names_of_parts), names=names_of_parts)
    seg, normals, saliency = Label("segmentation", 21), Label("normals"), Label("saliency")
    soft = MapFormat(threshold=127)
    labels = {
        "seg": maps(seg, "semseg/pascal-context", ".png", map_reader(seg, MapFormat())),
        "parts": maps(parts_of_people, "human_parts", ".mat", read_parts),
        "normals": maps(normals, "normals_distill", ".png", map_reader(normals, MapFormat())),
        "saliency": maps(saliency, "sal_distill", ".png", map_reader(saliency, soft)),
        "edges": maps(Label("edges"), "pascal-context/trainval", ".mat", read_edges),
    }
    images = [root / "JPEGImages" / f"{name}.jpg" for name in names]
    parts = ["train"] * len(train) + ["test"] * len(val)
    how = reading(size, shares, seed, unreadable, cache_mib)
    return ImageFiles("pascal_context", listing(root, names, images, parts, labels), how)


def read_parts(path: Path) -> np.ndarray:
    """The parts of all people in an image, [H, W]: 0, or a group's number from 1.

    Raises:
        Unreadable: It is no annotation of parts.
    """
    try:
        objects = _load(path)["anno"]["objects"]
        found = objects if isinstance(objects, list | np.ndarray) else [objects]
        groups = np.zeros(np.shape(found[0]["mask"]), np.uint8)
        for thing in found:
            parts = thing["parts"] if thing["class"] == "person" else []
            for part in [parts] if isinstance(parts, dict) else parts:
                groups[np.asarray(part["mask"], bool)] = group_of(part["part_name"])
    except (KeyError, IndexError, TypeError) as error:
        raise Unreadable(0, f"is no annotation of parts: {error!r}", str(path)) from error
    return groups


def group_of(part: str) -> int:
    """The number of a part's group.

    >>> group_of("hair"), group_of("lear"), group_of("rlleg"), group_of("luarm")
    (1, 1, 6, 3)

    Raises:
        KeyError: There is no such part.
    """
    return _GROUPS[part] if part in _GROUPS else _GROUPS[part[1:]]


def read_edges(path: Path) -> np.ndarray:
    """Where two neighbours are of different classes, [1, H, W]: both of them.

    Raises:
        Unreadable: It is no map of classes.
    """
    try:
        classes = np.asarray(_load(path)["LabelMap"])
    except KeyError as error:
        raise Unreadable(0, "has no LabelMap", str(path)) from error
    edge = np.zeros(classes.shape, np.uint8)
    down, across = classes[1:] != classes[:-1], classes[:, 1:] != classes[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return edge[None]


def _load(path: Path) -> Any:  # noqa: ANN401  # scipy's
    with refusing_torn(path):
        try:
            return loadmat(path, simplify_cells=True)
        except (MatReadError, TypeError, NotImplementedError) as error:
            raise Unreadable(0, f"cannot be read: {error}", str(path)) from error
