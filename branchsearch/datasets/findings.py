"""What is in a data set, or in a table of images, in figures for people."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from math import prod
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from branchsearch.datasets.cells import finite_or_none
from branchsearch.datasets.dataset import Dataset, Rows
from branchsearch.datasets.image_files import UNREADABLE, ImageFiles, TooManyUnreadable
from branchsearch.datasets.listing import InvalidListing, absent
from branchsearch.datasets.maps import Unreadable, cut, read_array, size_of
from branchsearch.datasets.table import Table, read_table

#: Rows that are read at once while labels are counted.
_AT_ONCE = 256

#: So many names or cells of a column are shown.
_SHOWN = 8

#: Endings of files that are images or maps.
_FILES = (".png", ".npy", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def parts(data: Dataset) -> Iterator[dict[str, Any]]:
    """For each part how many images it has, and for each label how many of them have it."""
    for name, part in data.parts.items():
        counts = {label: labelled(rows) for label, rows in part.targets.items()}
        yield {"part": name, "images": len(part), **counts}


def labelled(rows: Rows) -> int:
    """How many entries of a target are not missing throughout."""
    count = 0
    for start in range(0, len(rows), _AT_ONCE):
        chunk = np.asarray(rows[start : start + _AT_ONCE])
        flat = chunk.reshape(len(chunk), -1)
        missing = np.isnan(flat) if flat.dtype.kind == "f" else flat == _MISSING[flat.dtype.kind]
        count += int((~missing).any(axis=1).sum())
    return count


_MISSING = {"i": -1, "u": 255}


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found in a table and in the files that it names.

    Attributes:
        path: Of the table.
        rows: How many it has.
        columns: What each is called, how many of its cells are filled, and what it looks like.
        torn: By column, and then by row: a fault for each file that is there and cannot be read.
    """

    path: Path
    rows: int
    columns: Sequence[Mapping[str, Any]]
    torn: Mapping[str, Mapping[str, str]]

    def check_torn(self) -> None:
        """See that so few rows have torn files that a data set of the table leaves them out.

        Raises:
            TooManyUnreadable: How many have, and how many may.
        """
        torn = len(set(chain.from_iterable(self.torn.values())))
        if torn > UNREADABLE * self.rows:
            raise TooManyUnreadable(
                f"{self.path}: {torn} of {self.rows} rows have torn files, more than the part of "
                f"{UNREADABLE:g} that a space leaves out, unless its 'unreadable' is another"
            )


def look(path: Path) -> Looked:
    """Read a table and every file that it names.

    Raises:
        InvalidListing: It is no table; or naming rows and columns of files that are not there.
        OSError: The table cannot be read.
    """
    table = read_table(path)
    paths = {name: _paths(table, name) for name in table.columns}
    if faults := absent(table.rows, paths.items()):
        raise InvalidListing(path, *faults)
    columns = [
        {
            "column": name,
            "filled": sum(cell is not None for cell in cells),
            "looks_like": _looks_like(table, name),
        }
        for name, cells in table.columns.items()
    ]
    torn = {name: found for name in paths if (found := _torn(table, name, paths[name]))}
    return Looked(path, len(table.rows), columns, torn)


def cropped(data: ImageFiles) -> dict[str, Any] | None:
    """How many images lose a part of their height or width, and which of them loses most.

    Returns:
        Their count; that image's row, and its height and width before and after. None where all
        images have the shape of ``size``, but for a few percent.
    """
    found = []
    for row, path in zip(data.listing.rows, data.listing.images, strict=True):
        with suppress(Unreadable):  # said elsewhere
            own = size_of(path)
            if left := cut(own, data.image_size):
                found.append((prod(left) / prod(own), {"row": row, "from": own, "to": left}))
    if not found:
        return None
    _, most = min(found, key=itemgetter(0))
    return {"images": len(found), **most}


def _paths(table: Table, name: str) -> list[Path | None]:
    return [
        table.path.parent / cell if cell is not None and _names_a_file(cell) else None
        for cell in table.columns[name]
    ]


def _torn(table: Table, name: str, paths: Sequence[Path | None]) -> dict[str, str]:
    faults = {}
    for row, path in zip(table.rows, paths, strict=True):
        try:
            if path is not None:
                read_array(path)
        except Unreadable as error:
            faults[row] = f"{row}, column {name!r}: {path}: {error.strerror}"
    return faults


def _names_a_file(cell: str) -> bool:
    return cell.lower().endswith(_FILES)


def _looks_like(table: Table, name: str) -> str:
    filled = {
        row: cell
        for row, cell in zip(table.rows, table.columns[name], strict=True)
        if cell is not None
    }
    distinct = sorted(set(filled.values()))
    if not distinct:
        return "nothing"
    if all(map(_names_a_file, distinct)):
        return "files: an image, or a map of segmentation, depth, normals, edges or saliency"
    numbers = {cell: finite_or_none(cell) for cell in distinct}
    odd = [f"{row} {cell!r}" for row, cell in filled.items() if numbers[cell] is None]
    if 2 * len(odd) >= len(filled):
        return f"{len(distinct)} names: {_first(distinct, ', ...')}"
    known = [number for number in numbers.values() if number is not None]
    but = f"; no finite number in {_first(odd, f' and {len(odd) - _SHOWN} more')}" if odd else ""
    return _range(known) + but


def _first(texts: Sequence[str], more: str) -> str:
    return ", ".join(texts[:_SHOWN]) + (more if len(texts) > _SHOWN else "")


def _range(numbers: Sequence[float]) -> str:
    if set(numbers) <= {0, 1}:
        return "0 and 1: an attribute, or a class of two"
    most = max(numbers)
    if all(number.is_integer() and number >= 0 for number in numbers):
        return f"whole numbers up to {most:g}: a class of {most + 1:g}, or a regression"
    return f"numbers from {min(numbers):g} to {most:g}: a regression"
