"""The command that measures the affinity of tasks, and nothing else."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from branchsearch.cli.options import (
    DEFAULT_HOME,
    HomeOption,
    Output,
    OutputOption,
    find_job,
    open_home,
)

if TYPE_CHECKING:
    from branchsearch.affinity.affinity import Affinity
    from branchsearch.jobs.check import CheckedJob
    from branchsearch.jobs.progress import Standing


def affinity(
    source: Annotated[
        str,
        typer.Argument(
            metavar="JOB|FEATURES.npz",
            help="A YAML file, a job that is shipped, a job's id or 'last'; or features in a file.",
        ),
    ],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[MEASURE]...", help="More measures.")
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option("--measure", help="What to measure by, as rsa; may be given again."),
    ] = None,
    to: Annotated[Path, typer.Option("--to", help="The folder to make.")] = Path("affinity"),
    draws: Annotated[
        int, typer.Option(min=0, help="Resamplings and permutations; 0 for no intervals.")
    ] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of those.")] = 0,
    home: HomeOption = DEFAULT_HOME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Measure how alike tasks are at every stage; write affinities, figures and a table."""
    from branchsearch.cli.output import show
    from branchsearch.export.folder import FolderExists
    from branchsearch.files import whole_folder
    from branchsearch.jobs.affinities import save
    from branchsearch.report.affinity_page import write_page
    from branchsearch.report.affinity_table import entries, stages

    if os.path.lexists(to):
        raise FolderExists(f"{to} exists; name another folder with --to")
    names = tuple(dict.fromkeys([*(measure or []), *(more or [])]))
    found = _measured(source, names, draws, seed, home)
    with whole_folder(to) as folder:
        save(found, folder)
        write_page(found, source, folder)
    if output is Output.JSON:
        show({"folder": str(to), "affinities": list(entries(found))}, output)
    else:
        show(list(stages(found)), output)
        typer.echo(f"written to {to}: {', '.join(sorted(path.name for path in to.iterdir()))}")


def _measured(
    source: str, names: tuple[str, ...], draws: int, seed: int, home: Path
) -> "list[Affinity]":
    from branchsearch.jobs.affinity_alone import of_features, of_job

    if source.endswith(".npz"):
        return of_features(Path(source), names or ("rsa",), draws=draws, seed=seed)
    checked = _job(source, home)
    return of_job(
        checked,
        open_home(home).root,
        names or checked.spec.affinity.measures,
        draws=draws,
        seed=seed,
        say=_say,
    )


def _job(source: str, home: Path) -> "CheckedJob":
    """A job of the home by its id, else one to be read."""
    from branchsearch.jobs.check import check_job

    if source == "last" or source.startswith("job_"):
        return find_job(home, source)[1].checked
    return check_job(source)


def _say(standing: "Standing") -> None:
    if standing.done < standing.total:
        typer.echo(f"{standing.done}/{standing.total} networks trained", err=True)
