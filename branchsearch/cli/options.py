"""Options and arguments that several commands take."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from branchsearch.jobs.gather import Seen
    from branchsearch.jobs.home import Home


class Output(StrEnum):
    """How results are written on standard output."""

    TABLE = "table"
    JSON = "json"


DEFAULT_HOME = Path("~/.branchsearch")

HomeOption = Annotated[
    Path,
    typer.Option("--home", envvar="BRANCHSEARCH_HOME", help="Where everything is kept."),
]
OutputOption = Annotated[Output, typer.Option("--output", help="As a table, or as JSON.")]
JobArgument = Annotated[
    str, typer.Argument(metavar="ID", help="A job's id, the beginning of one, or 'last'.")
]
SpecArgument = Annotated[
    str, typer.Argument(metavar="SPEC", help="A YAML file, or the name of a job that is shipped.")
]


def open_home(path: Path) -> "Home":
    """Where a command reads and writes."""
    from branchsearch.jobs.home import Home

    return Home(path)


def find_job(path: Path, text: str) -> "tuple[Home, Seen]":
    """The job that a user means.

    Raises:
        JobNotFound: There is none, or the beginning of an id fits several.
    """
    from branchsearch.jobs.job import JobNotFound
    from branchsearch.jobs.pipeline import seen

    home = open_home(path)
    if not home.exists():
        raise JobNotFound(f"no job was ever run in {home.root}")
    jobs = home.store.newest_first()
    if text == "last" and jobs:
        return home, seen(home, jobs[0])
    fitting = [job for job in jobs if job.id.startswith(text)]
    if len(fitting) > 1:
        raise JobNotFound(f"{text!r} is the beginning of {len(fitting)} ids; give more of it")
    if not fitting:
        raise JobNotFound(
            f"no job {text!r} in {home.root}; `branchsearch list` shows those there are"
        )
    return home, seen(home, fitting[0])
