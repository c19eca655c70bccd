"""Options and arguments that several commands take."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from branchsearch.jobs.gather import Seen
    from branchsearch.jobs.home import Home
    from branchsearch.jobs.job import Job


class Output(StrEnum):
    """How results are written on standard output."""

    TABLE = "table"
    JSON = "json"


DEFAULT_HOME = Path("~/.branchsearch")


def _usable(device: str) -> str:
    """See that there is such a device before anything is done for it."""
    if device == "cpu":
        return device
    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise typer.BadParameter(f"{device!r} is none of cpu, cuda, cuda:0, cuda:1, ...")
    import torch

    number = int(device.partition(":")[2] or 0)
    if number >= (there := torch.cuda.device_count()):
        raise typer.BadParameter(f"there is no {device} here, but {there} GPUs; cpu always is")
    return device


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
EpochsOption = Annotated[
    int | None, typer.Option(min=1, help="Passes over the images; else the recipe's.")
]
ThreadsOption = Annotated[int, typer.Option(min=1, help="CPU threads.")]
DeviceOption = Annotated[str, typer.Option(callback=_usable, help="cpu or cuda.")]


def open_home(path: Path) -> "Home":
    """Where a command reads and writes."""
    from branchsearch.jobs.home import Home

    return Home(path)


def find_job(path: Path, text: str) -> "tuple[Home, Seen]":
    """The job that a user means, and all that it has found so far.

    Raises:
        JobNotFound: As ``look_up``.
    """
    home, job = look_up(path, text)
    from branchsearch.jobs.gather import seen  # takes torch: an unknown id is told before that

    return home, seen(home, job)


def look_up(path: Path, text: str) -> "tuple[Home, Job]":
    """The job that a user means, as it is stored.

    Raises:
        JobNotFound: There is none, or the beginning of an id fits several.
        BadParameter: The text is empty; any id begins with it.
    """
    from branchsearch.jobs.job import JobNotFound

    if not text.strip():
        raise typer.BadParameter(
            "it is empty; give a job's id, the beginning of one, or 'last'", param_hint="ID"
        )
    home = open_home(path)
    if not home.exists():
        raise JobNotFound(f"no job was ever run in {home.root}")
    jobs = home.store.newest_first()
    if text == "last" and jobs:
        return home, jobs[0]
    fitting = [job for job in jobs if job.id.startswith(text)]
    if len(fitting) > 1:
        raise JobNotFound(f"{text!r} is the beginning of {len(fitting)} ids; give more of it")
    if not fitting:
        raise JobNotFound(
            f"no job {text!r} in {home.root}; `branchsearch list` shows those there are"
        )
    return home, fitting[0]
