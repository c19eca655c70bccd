"""Tables of text in CSV and Parquet files, with a name for every row."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from branchsearch.datasets.faults import did_you_mean
from branchsearch.datasets.listing import InvalidListing

#: Endings of Parquet files' names, in small letters; all others are CSV.
_PARQUET = (".parquet", ".pq")

#: What some programs write between cells in place of a comma.
_SEPARATORS = (";", "\t")


@dataclass(frozen=True, slots=True)
class Table:
    """N rows.

    Attributes:
        path: Of the file.
        rows: What to call each row: of a CSV file by its line, so that the first is "row 2".
        columns: By name, each of N cells; None where a cell is blank.
    """

    path: Path
    rows: tuple[str, ...]
    columns: dict[str, tuple[str | None, ...]]

    def column(self, name: str) -> tuple[str | None, ...]:
        """The cells of a column.

        Raises:
            InvalidListing: There is none; with those there are.
        """
        if name not in self.columns:
            there_are = ", ".join(map(repr, self.columns)) + did_you_mean(name, self.columns)
            raise InvalidListing(self.path, [f"no column {name!r}; there are {there_are}"])
        return self.columns[name]


def read_table(path: Path) -> Table:
    """Read a table; by the name's ending, from Parquet or from CSV with a line of names.

    Raises:
        InvalidListing: It is not what its name says, with the row; or it has no rows.
        OSError: It cannot be read.
    """
    return _from_parquet(path) if path.suffix.lower() in _PARQUET else _from_csv(path)


def _from_csv(path: Path) -> Table:
    faults, rows, lines = [], [], []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, [])
            _check_separator(path, names)
            start = reader.line_num + 1
            for cells in reader:
                if len(cells) == len(names):
                    rows.append(cells)
                    lines.append(f"row {start}")
                elif cells:  # an empty line is none
                    faults.append(f"row {start}: {len(cells)} cells under {len(names)} names")
                start = reader.line_num + 1
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidListing(path, [f"not CSV in UTF-8: {error}"]) from None
    if faults:
        raise InvalidListing(path, faults)
    return _table(path, lines, names, list(zip(*rows, strict=True)) or [()] * len(names))


def _check_separator(path: Path, names: Sequence[str]) -> None:
    """A table whose names are all in one cell is written with another separator."""
    found = [each for each in _SEPARATORS if len(names) == 1 and each in names[0]]
    if found:
        fault = f"row 1: cells seem to be separated by {found[0]!r}; use commas"
        raise InvalidListing(path, [fault])


def _from_parquet(path: Path) -> Table:
    # a third of a second to import, and most tables are CSV
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import read_table as read

    try:
        content = read(path)
    except ArrowInvalid as error:
        raise InvalidListing(path, [f"not Parquet: {error}"]) from None
    cells = [[_text(cell) for cell in column.to_pylist()] for column in content.columns]
    rows = [f"row {number}" for number in range(1, content.num_rows + 1)]
    return _table(path, rows, content.column_names, cells)


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    # numbers with gaps are often kept as floats
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _table(
    path: Path, rows: Sequence[str], names: Sequence[str], columns: Sequence[Sequence[str]]
) -> Table:
    names = [name.strip() for name in names]
    if not names:
        raise InvalidListing(path, ["it is empty; it needs names of columns, and a row per image"])
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidListing(path, [f"two columns are named {twice[0]!r}"])
    if not rows:
        raise InvalidListing(path, ["no images; there are names of columns, and no row below them"])
    cells = (tuple(cell.strip() or None for cell in column) for column in columns)
    return Table(path, tuple(rows), dict(zip(names, cells, strict=True)))
