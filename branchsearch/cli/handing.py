"""Commands that hand out what a job has found."""

from pathlib import Path
from typing import Annotated

import typer

from branchsearch.cli.options import (
    DEFAULT_HOME,
    HomeOption,
    JobArgument,
    Output,
    OutputOption,
    find_job,
)


def export(
    job: JobArgument,
    to: Annotated[Path, typer.Option("--to", help="The folder to make.")],
    trial: Annotated[
        int | None, typer.Option(help="A trial's number; else the chosen one.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    home: HomeOption = DEFAULT_HOME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Export a trained network as a folder that runs without branchsearch."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.handing import export_chosen, export_trial
    from branchsearch.jobs.trainings import Trainings

    opened, seen = find_job(home, job)
    trainings = Trainings(seen.checked, opened.root)
    if trial is None:
        made = export_chosen(trainings, seen, to, overwrite=overwrite)
    else:
        made = export_trial(trainings, seen, trial, to, overwrite=overwrite)
    show({"export": str(made)}, output)


def report(
    job: JobArgument,
    to: Annotated[Path | None, typer.Option("--to", help="The file; else in the home.")] = None,
    home: HomeOption = DEFAULT_HOME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Write the HTML report of what a job has found so far."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.gather import REPORT
    from branchsearch.report.html import write_report

    _, seen = find_job(home, job)
    path = to or seen.folder / REPORT
    write_report(seen.findings(), path)
    show({"report": str(path)}, output)


def draw(
    tree: Annotated[str, typer.Argument(help="As in: a+b+c > a+b,c > a,b,c")],
    to: Annotated[Path | None, typer.Option("--to", help="A file ending in .svg or .png.")] = None,
) -> None:
    """Draw a tree: in the terminal, or as a picture."""
    from branchsearch.drawing.png import png
    from branchsearch.drawing.svg import svg
    from branchsearch.drawing.text import text
    from branchsearch.files import write_whole
    from branchsearch.tree import Tree

    try:
        drawn = Tree.parse(tree)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="TREE") from None
    if to is None:
        typer.echo(text(drawn))
    elif to.suffix == ".svg":
        write_whole(to, svg(drawn))
    elif to.suffix == ".png":
        write_whole(to, png(drawn))
    else:
        raise typer.BadParameter(f"{to} ends in neither .svg nor .png", param_hint="--to")


def dashboard(
    home: HomeOption = DEFAULT_HOME,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8080,
) -> None:
    """Open Optuna Dashboard on all studies, for reading only."""
    from branchsearch.cli.options import open_home
    from branchsearch.cli.serving import serve
    from branchsearch.jobs.job import JobNotFound

    opened = open_home(home)
    if not opened.exists():
        raise JobNotFound(f"no job was ever run in {opened.root}")
    typer.echo(f"http://{host}:{port}/dashboard (Ctrl-C ends it)", err=True)
    serve(opened.store.optuna_storage(), host, port)
