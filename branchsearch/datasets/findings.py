"""What is in a data set, or in a table of images, in figures for people."""

from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from branchsearch.datasets.dataset import Dataset, Rows
from branchsearch.datasets.listing import InvalidListing
from branchsearch.datasets.maps import Unreadable, read_array
from branchsearch.datasets.table import Table, read_table

#: Rows that are read at once while labels are counted.
_AT_ONCE = 256

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


def columns(path: Path) -> Iterator[dict[str, Any]]:
    """What each column of a table looks like, and whether the files that it names can be read.

    Raises:
        InvalidListing: Naming rows and columns of files that are not there or cannot be read.
        OSError: The table cannot be read.
    """
    table = read_table(path)
    faults = [fault for name in table.columns for fault in _faults(table, name)]
    if faults:
        raise InvalidListing(path, faults)
    for name, cells in table.columns.items():
        filled = [cell for cell in cells if cell is not None]
        yield {"column": name, "filled": len(filled), "looks_like": _looks_like(filled)}


def _faults(table: Table, name: str) -> Iterator[str]:
    for row, cell in zip(table.rows, table.columns[name], strict=True):
        if cell is None or not cell.lower().endswith(_FILES):
            continue
        file = table.path.parent / cell
        if not file.is_file():
            yield f"{row}, column {name!r}: no file {str(file)!r}"
            continue
        try:
            read_array(file)
        except Unreadable as error:
            yield f"{row}, column {name!r}: {str(file)!r} {error.strerror}"


def _looks_like(cells: list[str]) -> str:
    distinct = sorted(set(cells))
    if not distinct:
        return "nothing"
    if all(cell.lower().endswith(_FILES) for cell in distinct):
        return "files: an image, or a map of segmentation, depth, normals, edges or saliency"
    numbers = [_number(cell) for cell in distinct]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        names = ", ".join(distinct[:8]) + (", ..." if len(distinct) > 8 else "")
        return f"{len(distinct)} names: {names}"
    if set(known) <= {0, 1}:
        return "0 and 1: an attribute, or a class of two"
    if all(number.is_integer() and number >= 0 for number in known):
        return f"whole numbers up to {max(known):g}: a class of {max(known) + 1:g}, or a regression"
    return f"numbers from {min(known):g} to {max(known):g}: a regression"


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if isfinite(number) else None
