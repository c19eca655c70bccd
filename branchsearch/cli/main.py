"""The program ``branchsearch``: commands, and what their errors are to a shell.

Modules that are heavy to import are imported by the commands that use them, so that the program
answers at once.
"""

import sys
from collections.abc import Mapping

import typer

from branchsearch.cli import affinity, data, handing, jobs, looking, replay

#: What an error is to a shell; any other is a mistake of ours and shows its trace.
EXIT_CODES: Mapping[str, int] = {
    "branchsearch.jobs.steps:JobFailed": 1,
    "branchsearch.export.proof:ProofFailed": 1,
    "branchsearch.export.checksums:Damaged": 1,
    "branchsearch.export.description:NotAnExport": 2,
    "branchsearch.export.classes:NotExportable": 2,
    "branchsearch.export.graphs:NotTraceable": 2,
    "branchsearch.export.onnx_files:NeedsOnnx": 2,
    "branchsearch.jobs.reading:InvalidSpec": 2,
    "branchsearch.catalog:UnknownName": 2,
    "branchsearch.jobs.budget:NotRaised": 2,
    "branchsearch.datasets.listing:InvalidListing": 2,
    "branchsearch.datasets.image_files:TooManyUnreadable": 2,
    "branchsearch.affinity.features:NotComparable": 2,
    "branchsearch.search.replay.table:InvalidTable": 2,
    "branchsearch.search.replay.table:CannotReplay": 2,
    "branchsearch.jobs.job:JobNotFound": 3,
    "branchsearch.jobs.handing:NothingToExport": 3,
    "branchsearch.report.why:NothingToExplain": 3,
    "branchsearch.jobs.log:NothingLogged": 3,
    "branchsearch.jobs.job:JobIsRunning": 5,
    "branchsearch.jobs.job:IllegalTransition": 5,
    "branchsearch.export.folder:FolderExists": 5,
    "branchsearch.jobs.home:HomeUnusable": 6,
    "optuna.exceptions:StorageInternalError": 6,
    "sqlalchemy.exc:DatabaseError": 6,
    "branchsearch.search.engine:ClusterLost": 1,
    "branchsearch.search.engine:FolderNotShared": 6,
    "branchsearch.search.engine:TooFewResources": 2,
    "branchsearch.search.engine:Interrupted": 130,
    "builtins:OSError": 1,
}

app = typer.Typer(
    help="Find out which tasks should share which stages of a network.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (
    jobs.run,
    jobs.extend,
    jobs.validate,
    jobs.plan,
    jobs.train,
    looking.list_jobs,
    looking.show,
    looking.trials,
    looking.logs,
    looking.best,
    looking.why,
    affinity.affinity,
    handing.export,
    handing.verify,
    handing.import_,
    handing.compare,
    handing.report,
    handing.draw,
    handing.dashboard,
    replay.replay,
    replay.simulate,
):
    app.command(name=command.__name__.removesuffix("_jobs").removesuffix("_"))(command)
app.add_typer(data.data, name="data")


def main() -> None:
    """Run a command; errors that a user can mend are said in words, with an exit code."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        typer.echo(f"branchsearch: {in_words(error)}", err=True)
        sys.exit(code)


def in_words(error: Exception) -> str:
    """What to tell of an error; of one that the system has raised, which file, and why."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        files = [error.filename, *([] if error.filename2 is None else [error.filename2])]
        return f"cannot read or write {' or '.join(map(str, files))}: {error.strerror}"
    return str(error)


def exit_code(error: Exception) -> int | None:
    """What an error is to a shell; None for one that nobody expected."""
    names = {f"{kind.__module__}:{kind.__qualname__}" for kind in type(error).__mro__}
    return next((code for name, code in EXIT_CODES.items() if name in names), None)
