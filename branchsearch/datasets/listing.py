"""Where images and their labels are, row by row, before a file of them is read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from branchsearch.datasets.dataset import Label

#: From a file to a map as it is there: [H, W] of class numbers, or [C, H, W], by kind as ``Part``.
Read = Callable[[Path], np.ndarray]


_T = TypeVar("_T")

#: So many faults of a column are said; more are counted.
_AT_MOST = 20


class InvalidListing(ValueError):
    """Rows that cannot be used; the message has a line for each fault, with row and column.

    Attributes:
        source: The file or folder whose rows they are.
        columns: The faults, those of each column for themselves.
    """

    def __init__(self, source: Path, *columns: Sequence[str]) -> None:
        super().__init__(source, *columns)
        self.source = source
        self.columns = columns

    def __str__(self) -> str:
        return "\n".join(
            f"{self.source}: {text}" for faults in self.columns for text in shown(faults)
        )


def shown(faults: Sequence[str]) -> list[str]:
    """The first of them, and how many more there are."""
    left = len(faults) - _AT_MOST
    return [*faults[:_AT_MOST], *([f"... and {left} more like the last"] if left > 0 else [])]


def noting(wrong: list[Sequence[str]], read: Callable[[], _T]) -> _T | None:
    """What ``read`` gives; or None, and its faults are put to those already found."""
    try:
        return read()
    except InvalidListing as error:
        wrong.extend(error.columns)
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Labels that stand in the rows themselves.

    Attributes:
        label: What they are.
        array: One entry per row, as ``Part`` holds them.
    """

    label: Label
    array: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Labels that are maps in files.

    Attributes:
        label: What they are.
        paths: One per row; None where there is no label.
        read: Reads one of them.
        how: All that its user may say of the reading, as a text: what was kept of files that were
            read otherwise is not taken.
    """

    label: Label
    paths: Sequence[Path | None]
    read: Read
    how: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """N images and their labels.

    Attributes:
        source: The file or folder that says so.
        rows: What to call each row in an error.
        images: Their paths.
        parts: Which part each is in, where somebody has said so.
        labels: By name.
        columns: Under what a label stands in the source, for errors; its name where not said.
        also: Further files that labels depend on, whether they are there or not.
    """

    source: Path
    rows: Sequence[str]
    images: Sequence[Path]
    parts: Sequence[str | None]
    labels: Mapping[str, Values | Maps]
    columns: Mapping[str, str] = field(default_factory=dict)
    also: Sequence[Path] = ()

    def __len__(self) -> int:
        return len(self.images)

    def files(self, row: int) -> list[tuple[str, Path]]:
        """Every file of a row, with its column."""
        maps = [
            (self.column(name), path)
            for name, label in self.labels.items()
            if isinstance(label, Maps) and (path := label.paths[row]) is not None
        ]
        return [(self.column("image"), self.images[row]), *maps]

    def column(self, name: str) -> str:
        """What a label, or ``image``, is called where it stands."""
        return self.columns.get(name, name)

    def place(self, row: int, column: str) -> str:
        """Where a fault is, for people."""
        return f"{self.rows[row]}, column {column!r}"

    def check_files(self) -> None:
        """See that every file is there.

        Raises:
            InvalidListing: Naming rows and columns.
        """
        columns = [(self.column("image"), self.images), *paths_of(self.labels, self.column)]
        if wrong := absent(self.rows, columns):
            raise InvalidListing(self.source, *wrong)


def paths_of(
    labels: Mapping[str, Values | Maps], column: Callable[[str], str]
) -> list[tuple[str, Sequence[Path | None]]]:
    """The paths of every label that is a map, with the name of its column."""
    return [
        (column(name), label.paths) for name, label in labels.items() if isinstance(label, Maps)
    ]


def absent(
    rows: Sequence[str], columns: Iterable[tuple[str, Sequence[Path | None]]]
) -> list[list[str]]:
    """For every column that has any: a fault for each path that is no file."""
    by_column = [
        [
            f"{row}, column {name!r}: no file {str(path)!r}"
            for row, path in zip(rows, paths, strict=True)
            if path is not None and not path.is_file()
        ]
        for name, paths in columns
    ]
    return [faults for faults in by_column if faults]


def labelled(label: Values | Maps) -> np.ndarray:
    """Whether each row has a label, shape [N]; a map counts that may be empty inside."""
    if isinstance(label, Maps):
        return np.array([path is not None for path in label.paths], bool)
    array = label.array.reshape(len(label.array), -1)
    known = array >= 0 if array.dtype.kind == "i" else ~np.isnan(array)
    return np.asarray(known.any(axis=1))


def shape_of(label: Label, size: tuple[int, int]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """One entry of a label's target: its shape and type, by kind."""
    height, width = size
    match label.kind:
        case "classification":
            return (), np.dtype(np.int64)
        case "attributes" | "regression":
            return (label.count or 1,), np.dtype(np.float32)
        case "segmentation":
            return (height, width), np.dtype(np.uint8)
        case "depth":
            return (1, height, width), np.dtype(np.float16)
        case "normals":
            return (3, height, width), np.dtype(np.float16)
        case "keypoints":
            return (label.count or 1, height, width), np.dtype(np.float16)
        case _:
            return (1, height, width), np.dtype(np.uint8)


def missing_of(label: Label, size: tuple[int, int]) -> np.ndarray:
    """The target of an image that nobody labelled."""
    shape, dtype = shape_of(label, size)
    return np.full(shape, {"i": -1, "u": 255, "f": np.nan}[dtype.kind], dtype)
