"""Commands about images and labels."""

from pathlib import Path
from typing import Annotated

import typer

from branchsearch.cli.options import DEFAULT_HOME, HomeOption, Output, OutputOption, open_home

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
    if source.endswith((".csv", ".parquet")):
        _check_table(Path(source), output)
    else:
        _check_space(source, home, output)


def _check_table(path: Path, output: Output) -> None:
    from branchsearch.cli.output import show
    from branchsearch.datasets.findings import columns

    show(list(columns(path)), output)


def _check_space(source: str, home: Path, output: Output) -> None:
    from branchsearch.cli.output import show
    from branchsearch.datasets.findings import parts
    from branchsearch.jobs.check import check_space
    from branchsearch.jobs.reading import read_space
    from branchsearch.jobs.training import open_dataset

    spec = check_space(read_space(source)).spec
    opened = open_dataset((spec.dataset.name, spec.dataset.args), open_home(home).root)
    rows = list(parts(opened))
    if output is Output.JSON:
        show(
            {
                "parts": rows,
                "skipped": list(opened.skipped),
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
