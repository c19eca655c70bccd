"""What a column of a manifest means: from its cells to the labels of one task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from branchsearch.datasets.augmentation import MAPS
from branchsearch.datasets.cells import class_name, class_number, finite, zero_or_one
from branchsearch.datasets.dataset import UNCLASSIFIED, Label
from branchsearch.datasets.faults import WrongArgument, did_you_mean
from branchsearch.datasets.listing import InvalidListing, Maps, Values, noting
from branchsearch.datasets.maps import MapFormat, map_reader
from branchsearch.datasets.table import Table

#: Kinds whose labels are numbers in as many columns as there are numbers.
_NUMBERS = ("attributes", "regression")


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """How one task's labels stand in a table.

    Attributes:
        name: Of the task.
        kind: As in ``branchsearch.task.KINDS``.
        columns: Their names: one, or for attributes and regression one for each number.
        classes: For classification and segmentation: how many, or for classification their names.
        count: For keypoints: how many.
        missing: In maps: values that mean that a pixel is not labelled; NaN always does, and so
            does 255 in segmentation where nothing else is said.
        offset: For segmentation: the number of the first class.
        unit: For depth: the distance of one count.
        logarithmic: For depth: whether networks learn the logarithm.
        threshold: For edges and saliency: what is above it is one.
        axes: For normals: factors that make the three numbers point right, up and to the camera.
        swaps: For keypoints: as in ``Label``.

    Raises:
        ValueError: What is said does not fit together.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    classes: int | tuple[str, ...] | None = None
    count: int | None = None
    missing: tuple[float, ...] = ()
    offset: int = 0
    unit: float = 1.0
    logarithmic: bool = False
    threshold: float = 0.0
    axes: tuple[int, int, int] = (1, 1, 1)
    swaps: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        kinds = sorted({*MAPS, *_NUMBERS, "classification"})
        if self.kind not in kinds:
            meant = did_you_mean(self.kind, kinds)
            raise ValueError(f"task {self.name!r}: no kind {self.kind!r}; there are {kinds}{meant}")
        if len(self.columns) > 1 and self.kind not in _NUMBERS:
            raise ValueError(f"task {self.name!r}: {self.kind} takes one column")
        if (self.classes is None) == (self.kind in ("classification", "segmentation")):
            says = "needs its classes" if self.classes is None else "takes no classes"
            raise ValueError(f"task {self.name!r}: {self.kind} {says}")
        if self.kind == "segmentation" and not isinstance(self.classes, int):
            raise ValueError(f"task {self.name!r}: say how many classes, not their names")
        if (self.count is None) == (self.kind == "keypoints"):
            says = "needs its count" if self.count is None else "takes no count"
            raise ValueError(f"task {self.name!r}: {self.kind} {says}")

    @property
    def label(self) -> Label:
        """What networks see of it."""
        classes = self.classes if isinstance(self.classes, int | None) else len(self.classes)
        count = len(self.columns) if self.kind in _NUMBERS else self.count
        names = self.classes if isinstance(self.classes, tuple) else self.columns
        return Label(
            self.kind,
            classes,
            count,
            self.logarithmic,
            self.swaps,
            names if len(names) > 1 else (),  # a column alone is called as its task, or nearly
        )

    def read(self, table: Table) -> Values | Maps:
        """The labels of all rows.

        Raises:
            InvalidListing: With row and column of every cell that cannot be meant.
        """
        if self.kind in MAPS:
            form = MapFormat(
                missing=self.missing,
                offset=self.offset,
                unit=self.unit,
                threshold=self.threshold,
                axes=self.axes,
            )
            cells = table.column(self.columns[0])
            beside = table.path.parent
            paths = [None if cell is None else beside / cell for cell in cells]
            return Maps(self.label, paths, map_reader(self.label, form), str(form))
        read = self._read_numbers(table)
        if self.kind == "classification":
            return Values(self.label, np.array(read[0], np.int64))
        return Values(self.label, np.array(read, np.float32).T.copy())

    def _read_numbers(self, table: Table) -> list[list[float]]:
        cell_to_number, blank = self._numbers()
        wrong: list[Sequence[str]] = []
        read = [
            noting(wrong, partial(_read, table, name, cell_to_number, blank))
            for name in self.columns
        ]
        if wrong:
            raise InvalidListing(table.path, *wrong)
        return [numbers for numbers in read if numbers is not None]

    def _numbers(self) -> tuple[Callable[[str], float], float]:
        """From a cell to a number, and the number of a blank one."""
        if self.kind == "attributes":
            return zero_or_one, np.nan
        if self.kind == "regression":
            return finite, np.nan
        if isinstance(self.classes, int):
            return class_number(self.classes), UNCLASSIFIED
        assert self.classes is not None  # checked at birth
        return class_name(self.classes), UNCLASSIFIED


def column(name: str, said: Mapping[str, Any]) -> Column:
    """One entry of a manifest's ``tasks``; its columns are named after it unless it says others.

    Raises:
        WrongArgument: Naming what it says that cannot be.
    """
    known = [field.name for field in fields(Column) if field.name not in ("name", "columns")]
    takes = ["kind", "column", "columns", *known[1:]]
    if not isinstance(said, Mapping):
        raise WrongArgument(
            f"task {name!r}: say what it is, as in {{kind: regression}}", "tasks", name
        )
    if unknown := [key for key in said if key not in takes]:
        meant = did_you_mean(unknown[0], takes)
        raise WrongArgument(
            f"task {name!r}: takes no {unknown[0]!r}; it takes {', '.join(takes)}{meant}",
            *("tasks", name, unknown[0]),
        )
    if "kind" not in said:
        raise WrongArgument(f"task {name!r}: needs its kind", "tasks", name)
    columns = said.get("columns", said.get("column", name))
    rest = {key: _frozen(value) for key, value in said.items() if key in known}
    if isinstance(rest.get("missing"), int | float):
        rest["missing"] = (rest["missing"],)
    try:
        return Column(name=name, columns=_names(columns), **rest)
    except ValueError as error:
        raise WrongArgument(str(error), "tasks", name) from None


def _names(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _frozen(value: Any) -> Any:  # noqa: ANN401  # any YAML
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _read(table: Table, name: str, number: Callable[[str], float], blank: float) -> list[float]:
    faults, numbers = [], []
    for row, cell in zip(table.rows, table.column(name), strict=True):
        try:
            numbers.append(blank if cell is None else number(cell))
        except ValueError as error:
            faults.append(f"{row}, column {name!r}: {error}")
    if faults:
        raise InvalidListing(table.path, faults)
    return numbers
