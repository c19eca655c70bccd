"""NYUD-v2 in the layout of the multi-task archive ``NYUD_MT.tgz``.

Sources: N. Silberman, D. Hoiem, P. Kohli and R. Fergus, "Indoor Segmentation and Support Inference
from RGBD Images", ECCV 2012; the archive goes with K.-K. Maninis, I. Radosavovic and I. Kokkinos,
"Attentive Single-Tasking of Multiple Tasks", CVPR 2019.
"""

from collections.abc import Mapping, Sequence

from branchsearch.datasets.arguments import absolute, reading
from branchsearch.datasets.dataset import Label
from branchsearch.datasets.image_files import ImageFiles
from branchsearch.datasets.layouts import existing, listing, names_in
from branchsearch.datasets.listing import Maps
from branchsearch.datasets.maps import MapFormat, map_reader
from branchsearch.datasets.split import SHARES

#: Label, folder, ending, what it is and how it is written.
_LABELS = {
    "seg": ("segmentation", ".png", Label("segmentation", 40), MapFormat(missing=(0,), offset=1)),
    "depth": ("depth", ".npy", Label("depth"), MapFormat(missing=(0,))),
    "normals": ("normals", ".npy", Label("normals"), MapFormat(missing=(0,))),
    "edges": ("edge", ".npy", Label("edges"), MapFormat()),
}


def nyud(
    *,
    folder: str,
    size: int | Sequence[int],
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
    unreadable: float = 0.0,
    cache_mib: float = 4096,
) -> ImageFiles:
    """NYUD-v2: 40 classes, depth in metres, normals and edges of rooms.

    ``gt_sets/train.txt`` gives the parts train, validation and probe, by content, and
    ``gt_sets/val.txt`` the part test. Images are ``images/<name>.jpg``; labels lie in
    ``segmentation`` (PNG, 0 is missing), ``depth``, ``normals`` and ``edge`` (NPY).

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
    train, val = (names_in(root / "gt_sets" / f"{part}.txt") for part in ("train", "val"))
    names = [*train, *val]
    labels = {
        label: Maps(
            what,
            existing(root / place / f"{name}{ending}" for name in names),
            map_reader(what, form),
        )
        for label, (place, ending, what, form) in _LABELS.items()
    }
    images = [root / "images" / f"{name}.jpg" for name in names]
    parts = ["train"] * len(train) + ["test"] * len(val)
    how = reading(size, shares, seed, unreadable, cache_mib)
    return ImageFiles("nyud", listing(root, names, images, parts, labels), how)
