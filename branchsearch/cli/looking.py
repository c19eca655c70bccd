"""Commands that show what jobs have found; they change nothing."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from branchsearch.cli.options import (
    DEFAULT_HOME,
    HomeOption,
    JobArgument,
    Output,
    OutputOption,
    find_job,
    open_home,
)

if TYPE_CHECKING:
    from branchsearch.jobs.home import Home
    from branchsearch.jobs.job import Job
    from branchsearch.report.findings import TrialResult


def list_jobs(home: HomeOption = DEFAULT_HOME, output: OutputOption = Output.TABLE) -> None:
    """List the jobs, the newest first."""
    from branchsearch.cli.output import show

    opened = open_home(home)
    jobs = opened.store.newest_first() if opened.exists() else []
    rows = [
        {
            "id": job.id,
            "name": job.name,
            "state": _state(opened, job),
            "step": job.step,
            "reason": job.reason,
            "created": job.created.isoformat(timespec="seconds"),
        }
        for job in jobs
    ]
    show(rows, output)


def show(
    job: JobArgument, home: HomeOption = DEFAULT_HOME, output: OutputOption = Output.TABLE
) -> None:
    """Show where a job stands."""
    from branchsearch.cli.output import show as print_out
    from branchsearch.jobs.steps import standing

    opened, seen = find_job(home, job)
    found = seen.job
    stands = standing(seen)
    print_out(
        {
            "id": found.id,
            "name": found.name,
            "state": _state(opened, found),
            "step": found.step,
            "reason": found.reason,
            "message": found.message,
            "trials": {
                "asked": stands.total,
                "complete": stands.done,
                "stopped": stands.stopped,
                "running": stands.running,
                "failed": stands.failed,
            },
            "best_delta_percent": stands.best,
            "folder": str(seen.folder),
            "created": found.created.isoformat(timespec="seconds"),
            "changed": found.changed.isoformat(timespec="seconds"),
        },
        output,
    )


def trials(
    job: JobArgument, home: HomeOption = DEFAULT_HOME, output: OutputOption = Output.TABLE
) -> None:
    """List a job's trials."""
    from branchsearch.cli.output import show

    _, seen = find_job(home, job)
    rows = [
        {
            "number": trial.number,
            "outcome": str(trial.outcome),
            "delta": trial.delta,
            **{task.name: trial.metrics.get(task.name) for task in seen.checked.space.tasks},
            "parameters": trial.parameters,
            "multiply_adds": trial.multiply_adds,
            "seconds": trial.seconds,
            "tree": str(trial.tree),
        }
        for trial in seen.trials()
    ]
    show(rows, output)


def best(
    job: JobArgument, home: HomeOption = DEFAULT_HOME, output: OutputOption = Output.TABLE
) -> None:
    """Show the chosen network, and the front of gain and size that the trials make."""
    from branchsearch.cli.output import show
    from branchsearch.report.front import front

    _, seen = find_job(home, job)
    findings = seen.findings()
    chosen = next((network for network in findings.confirmed if network.chosen), None)
    show(
        {
            "chosen": None
            if chosen is None
            else {
                "tree": str(chosen.tree),
                "test_delta_percent": list(chosen.deltas),
                "parameters": chosen.parameters,
                "multiply_adds": chosen.multiply_adds,
            },
            "front": [_on_front(trial) for trial in front(findings)],
        },
        output,
    )


def why(
    job: JobArgument,
    tree: Annotated[
        str | None, typer.Option("--tree", help="As in: a+b+c > a+b,c; else the chosen one.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show, for every branching point of a tree, what speaks for and against it."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.check import check_tree
    from branchsearch.jobs.reading import InvalidSpec
    from branchsearch.report.why import as_json, as_rows, tree_to_explain
    from branchsearch.report.why import why as explained

    _, seen = find_job(home, job)
    findings = seen.findings()
    try:
        shown = (
            tree_to_explain(findings)
            if tree is None
            else check_tree(seen.checked.space.space, tree)
        )
    except ValueError as error:
        raise InvalidSpec(f"--tree: {error}") from None
    points = explained(shown, findings)
    if output is Output.JSON:
        show({"tree": str(shown), "branching_points": as_json(points)}, output)
    else:
        show(as_rows(points), output)


def _on_front(trial: "TrialResult") -> dict[str, Any]:
    return {
        "number": trial.number,
        "delta": trial.delta,
        "parameters": trial.parameters,
        "tree": str(trial.tree),
    }


def _state(home: "Home", job: "Job") -> str:
    if job.state == "running" and not home.is_driven(job):
        return "running (its process is gone; run it again to continue)"
    return str(job.state)
