"""Commands about images and labels."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from branchsearch.cli.options import DEFAULT_HOME, HomeOption, Output, OutputOption, open_home

#: Endings of tables' names, in small letters; all else is a space.
_TABLES = (".csv", ".tsv", ".parquet", ".pq")

data = typer.Typer(help="Look at images and labels.", no_args_is_help=True)


@data.command()
def check(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SPACE|MANIFEST",
            help="A search space, whose data set is read; or a table, .csv or .parquet.",
        ),
    ],
    home: HomeOption = DEFAULT_HOME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Read every image and label once; say what there is, or what is wrong and where."""
    if source.lower().endswith(_TABLES):
        _check_table(Path(source), output)
    else:
        _check_space(source, home, output)


def _check_table(path: Path, output: Output) -> None:
    from branchsearch.cli.output import show
    from branchsearch.datasets.findings import look
    from branchsearch.datasets.listing import shown

    looked = look(path)
    torn = {name: list(faults.values()) for name, faults in looked.torn.items()}
    if output is Output.JSON:
        show([{**row, "torn": torn.get(row["column"], [])} for row in looked.columns], output)
    else:
        show(looked.columns, output)
        for faults in torn.values():
            for fault in shown(faults):
                typer.echo(f"torn: {path}: {fault}")
    looked.check_torn()


def _check_space(source: str, home: Path, output: Output) -> None:
    from branchsearch.cli.output import show
    from branchsearch.datasets.findings import cropped, parts
    from branchsearch.datasets.image_files import ImageFiles
    from branchsearch.jobs.check import check_space
    from branchsearch.jobs.training import open_dataset

    checked = check_space(source)
    named = checked.spec.dataset
    with _unlogged():
        opened = open_dataset((named.name, named.args), open_home(home).root)
    rows, collection = list(parts(opened)), checked.collection
    cut = cropped(collection) if isinstance(collection, ImageFiles) else None
    if output is Output.JSON:
        show(
            {
                "parts": rows,
                "skipped": list(opened.skipped),
                "cropped": cut,
                "mean": opened.mean,
                "std": opened.std,
                "fingerprint": opened.fingerprint,
            },
            output,
        )
        return
    show(rows, output)
    for fault in opened.skipped:
        typer.echo(f"left out: {fault}")
    if cut:
        typer.echo(_said(cut, sum(collection.counts.values()), collection.image_size))


def _said(cut: Mapping[str, Any], images: int, size: Sequence[int]) -> str:
    before, after, shape = (" x ".join(map(str, pair)) for pair in (cut["from"], cut["to"], size))
    return (
        f"cropped: {cut['images']} of {images} images, about their centre to the shape of size "
        f"{shape}; {cut['row']} loses most, from {before} pixels (height x width) to {after}"
    )


@contextmanager
def _unlogged() -> Iterator[None]:
    """What is left out is part of the report; as a warning it would be said twice."""
    log = logging.getLogger("branchsearch.datasets")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
