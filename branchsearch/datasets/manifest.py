"""Images and labels of one's own: a table with a row per image."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from branchsearch.datasets.arguments import absolute, reading
from branchsearch.datasets.columns import Column, column
from branchsearch.datasets.dataset import PARTS
from branchsearch.datasets.faults import WrongArgument, did_you_mean
from branchsearch.datasets.image_files import UNREADABLE, ImageFiles
from branchsearch.datasets.listing import InvalidListing, Listing, absent, noting, paths_of
from branchsearch.datasets.split import SHARES
from branchsearch.datasets.table import Table, read_table


def manifest(
    *,
    path: str,
    size: int | Sequence[int],
    tasks: Mapping[str, Mapping[str, Any]],
    image: str = "image",
    part: str | None = None,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
    unreadable: float = UNREADABLE,
    cache_mib: float = 4096,
    mirrors: bool = True,
) -> ImageFiles:
    """Images listed in a CSV or Parquet file, with a column for their paths and some per task.

    A label is a number, a class name, or the path of a PNG or NPY map; a blank cell is a missing
    label. Paths start at the file's own folder.

    Args:
        path: Of the file, absolute or from the home folder (``~``).
        size: Height and width of the images in pixels, or one number for both.
        tasks: By name, what each is; see ``branchsearch.datasets.columns.Column``.
        image: The column of image paths.
        part: The column that says train, validation, test or probe. Without it, parts follow from
            what is in the images; a part that it never names is taken from train.
        shares: The fraction of all images that each part takes where the file does not say.
        seed: Of that.
        unreadable: The part of all images that may be left out because they are torn.
        cache_mib: Up to so many MiB, decoded images are kept in files.
        mirrors: Whether the labels of an image are those of its mirror image.

    Raises:
        InvalidListing: With a line for every fault in the file.
        ValueError: Naming the argument that cannot be meant.
        OSError: The file cannot be read.
    """
    columns = [column(name, said) for name, said in tasks.items()]
    if not columns:
        raise WrongArgument("tasks: name at least one", "tasks")
    listing = _listing(read_table(absolute(path, "path")), columns, image, part)
    how = reading(size, shares, seed, unreadable, cache_mib)
    return ImageFiles("manifest", listing, how, mirrors)


def _listing(table: Table, columns: Sequence[Column], image: str, part: str | None) -> Listing:
    wrong: list[Sequence[str]] = []
    images = noting(wrong, partial(_paths, table, image))
    parts = noting(wrong, partial(_parts, table, part))
    labels = {each.name: noting(wrong, partial(each.read, table)) for each in columns}
    sound = {name: label for name, label in labels.items() if label is not None}
    called = {each.name: each.columns[0] for each in columns} | {"image": image}
    if images is None or parts is None or wrong:
        paths = paths_of(sound, called.__getitem__)
        seen = paths if images is None else [(image, images), *paths]
        # files that are not there are said with the rest, not only once the rest is mended
        raise InvalidListing(table.path, *wrong, *absent(table.rows, seen))
    return Listing(
        source=table.path,
        rows=table.rows,
        images=images,
        parts=parts,
        labels=sound,
        columns=called,
    )


def _paths(table: Table, image: str) -> list[Path]:
    cells = table.column(image)
    faults = [
        f"{row}, column {image!r}: no path of an image"
        for row, cell in zip(table.rows, cells, strict=True)
        if cell is None
    ]
    if faults:
        raise InvalidListing(table.path, faults)
    return [table.path.parent / cell for cell in cells if cell is not None]


def _parts(table: Table, part: str | None) -> list[str | None]:
    if part is None:
        return [None] * len(table.rows)
    cells = table.column(part)
    faults = [
        f"{row}, column {part!r}: no part {cell!r}; there are {', '.join(PARTS)}"
        f"{did_you_mean(cell, PARTS)}"
        for row, cell in zip(table.rows, cells, strict=True)
        if cell not in PARTS
    ]
    if faults:
        raise InvalidListing(table.path, faults)
    return list(cells)
