"""Results on standard output, for people and for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from branchsearch.cli.options import Output


def show(value: Any, output: Output) -> None:  # noqa: ANN401  # any JSON
    """Print rows or one mapping; where a row lacks what another has, a table shows a dash."""
    if output is Output.JSON:
        typer.echo(json.dumps(value, indent=2, default=str))
    elif isinstance(value, Mapping):
        _console().print(_facts(value))
    else:
        _console().print(_rows(value))


def _console() -> Console:
    console = Console(highlight=False)
    # a pipe has no width: a table cut to 80 columns there would lose what a program looks for
    return console if console.is_terminal else Console(highlight=False, width=200)


def _facts(value: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            entry = ", ".join(f"{key} {cell(number)}" for key, number in entry.items())
        elif isinstance(entry, Sequence) and not isinstance(entry, str):
            entry = "\n".join(_line(part) for part in entry) or "-"
        table.add_row(Text(name.replace("_", " "), style="dim"), Text(cell(entry)))
    return table


def _rows(rows: Iterable[Mapping[str, Any]]) -> Table:
    rows = list(rows)
    table = Table(box=None, pad_edge=False, header_style="dim")
    columns = list(dict.fromkeys(chain.from_iterable(rows))) or ["nothing"]
    for name in columns:
        numeric = any(isinstance(row.get(name), (int, float)) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text(cell(row.get(name))) for name in columns))
    return table


def _line(part: Any) -> str:  # noqa: ANN401
    if isinstance(part, Mapping):
        return "  ".join(f"{key} {cell(entry)}" for key, entry in part.items())
    return cell(part)


def cell(entry: Any) -> str:  # noqa: ANN401
    """A value as a table has it: rounded where it has more digits than people read."""
    match entry:
        case None:
            return "-"
        case bool():
            return "yes" if entry else "no"
        case int():
            return f"{entry:,}"
        case float():
            return f"{entry:.4g}"
        case list() | tuple():
            return ", ".join(map(cell, entry))
        case _:
            return str(entry)
