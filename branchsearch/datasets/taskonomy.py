"""Taskonomy as its download tool unpacks: a folder per domain, in it one per building.

Source: A. Zamir et al., "Taskonomy: Disentangling Task Transfer Learning", CVPR 2018.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from branchsearch.datasets.arguments import absolute, reading
from branchsearch.datasets.dataset import Label
from branchsearch.datasets.image_files import ImageFiles
from branchsearch.datasets.layouts import listing
from branchsearch.datasets.listing import InvalidListing, Maps
from branchsearch.datasets.maps import MapFormat, map_reader
from branchsearch.datasets.split import SHARES
from branchsearch.datasets.table import read_table

#: Label, domain, what it is and how it is written. Depth counts 1/512 m, 65,535 where unknown;
#: normals are centred at 127; semantic classes are distilled, 0 where the network was not sure.
_LABELS = {
    "depth": ("depth_zbuffer", Label("depth"), MapFormat(missing=(65535,), unit=1 / 512)),
    "normals": ("normal", Label("normals"), MapFormat()),
    "seg": ("segment_semantic", Label("segmentation", 17), MapFormat(missing=(0,), offset=1)),
    "edges": ("edge_occlusion", Label("edges"), MapFormat(threshold=6553)),
}


def taskonomy(
    *,
    folder: str,
    size: int | Sequence[int],
    split: str = "tiny",
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
    unreadable: float = 0.0,
    cache_mib: float = 4096,
) -> ImageFiles:
    """Taskonomy: depth in metres, normals, 17 distilled classes and occlusion edges of buildings.

    Images are ``rgb/<building>/point_<p>_view_<v>_domain_rgb.png``, or the same below
    ``rgb/taskonomy``; labels likewise in ``depth_zbuffer``, ``normal``, ``segment_semantic`` and
    ``edge_occlusion``. Which building is in which part is said by
    ``splits_taskonomy/train_val_test_<split>.csv``; probe is taken from train by content.
    Buildings that are not there are left out. An edge is what is above a tenth of the range.

    Args:
        folder: Where the domains lie, absolute or from ``~``.
        size: Height and width of the images in pixels, or one number for both.
        split: tiny, medium, full or fullplus.
        shares: How probe shares train.
        seed: Of that.
        unreadable: The part of all images that may be left out because they are torn.
        cache_mib: Up to so many MiB, decoded images are kept in files.

    Raises:
        InvalidListing: The list of buildings is not there, or no image of any.
        ValueError: Naming the argument that cannot be meant.
    """
    root = absolute(folder, "folder")
    views: dict[str, Path] = {}
    parts: list[str | None] = []
    for building, part in _buildings(root, split).items():
        found = _views(root, "rgb", building)
        views |= found
        parts += [part] * len(found)
    if not views:
        raise InvalidListing(root, ["no rgb/<building>/point_<p>_view_<v>_domain_rgb.png"])
    buildings = sorted({view.rpartition("/")[0] for view in views})
    labels = {}
    for label, (domain, what, form) in _LABELS.items():
        there: dict[str, Path] = {}
        for building in buildings:
            there |= _views(root, domain, building)
        paths = [there.get(view) for view in views]
        labels[label] = Maps(what, paths, map_reader(what, form))
    rows = listing(root, list(views), list(views.values()), parts, labels)
    how = reading(size, shares, seed, unreadable, cache_mib)
    return ImageFiles("taskonomy", rows, how)


def _buildings(root: Path, split: str) -> dict[str, str]:
    path = root / "splits_taskonomy" / f"train_val_test_{split}.csv"
    if not path.is_file():
        raise InvalidListing(path, ["there is no such file; it comes with the data set's tools"])
    table = read_table(path)
    columns = {"train": "train", "validation": "val", "test": "test"}
    return {
        str(building): part
        for part, column in columns.items()
        for building, chosen in zip(table.column("id"), table.column(column), strict=True)
        if chosen == "1"
    }


def _views(root: Path, domain: str, building: str) -> dict[str, Path]:
    """A building's files of a domain, by ``<building>/point_<p>_view_<v>``."""
    places = (root / domain / building, root / domain / "taskonomy" / building)
    return {
        f"{building}/{path.name.partition('_domain_')[0]}": path
        for place in places
        for path in sorted(place.glob("point_*_view_*_domain_*.png"))
    }
