"""Commands that run things, or say what running them would take."""

from typing import TYPE_CHECKING, Annotated

import typer

from branchsearch.cli.options import (
    DEFAULT_HOME,
    HomeOption,
    JobArgument,
    Output,
    OutputOption,
    SpecArgument,
    find_job,
    open_home,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from branchsearch.jobs.check import CheckedJob
    from branchsearch.jobs.pipeline import Result
    from branchsearch.jobs.progress import Progress


def run(
    spec: SpecArgument,
    home: HomeOption = DEFAULT_HOME,
    new: Annotated[bool, typer.Option("--new", help="A new job, also if there is one.")] = False,
    no_early_stopping: Annotated[
        bool,
        typer.Option("--no-early-stopping", help="As with fidelity.scheduler none; another job."),
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Run a job from search to export, or continue it where it stopped."""
    from branchsearch.jobs.check import check_job
    from branchsearch.jobs.pipeline import run_job

    checked = check_job(spec)
    if no_early_stopping:
        checked = checked.without_early_stopping()
    opened = open_home(home)
    _run(
        checked,
        lambda progress: run_job(checked.spec, opened, progress=progress, new=new),
        output,
    )


def extend(
    job: JobArgument,
    max_trials: Annotated[int | None, typer.Option(help="Trials in all.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Seconds of search in all.")] = None,
    max_gpu_hours: Annotated[float | None, typer.Option(help="GPU-hours in all.")] = None,
    max_cost: Annotated[float | None, typer.Option(help="Cost in all.")] = None,
    home: HomeOption = DEFAULT_HOME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Raise a job's budget, and go on with it."""
    from dataclasses import replace

    from branchsearch.jobs.budget import RAISABLE, extend
    from branchsearch.jobs.pipeline import go_on

    opened, seen = find_job(home, job)
    given = dict(zip(RAISABLE, (max_trials, max_seconds, max_gpu_hours, max_cost), strict=True))
    limits = {name: limit for name, limit in given.items() if limit is not None}
    extended = extend(opened, seen.job, seen.budget, limits)
    budget = replace(seen, job=extended).budget
    checked = seen.checked
    planned = replace(checked, spec=checked.spec.model_copy(update={"budget": budget}))
    _run(
        planned,
        lambda progress: go_on(opened, extended, checked, progress=progress),
        output,
    )


def _run(checked: "CheckedJob", running: "Callable[[Progress], Result]", output: Output) -> None:
    """Run a job and show how it goes, and what comes out."""
    from rich.console import Console

    from branchsearch.cli.output import show
    from branchsearch.cli.progress import Shown
    from branchsearch.jobs.plan import plan as planned

    expected = planned(checked)
    console = Console(stderr=True)
    console.print(
        f"{expected.name}: {_many(expected.trees)} trees, {expected.baselines} baselines, "
        f"at most {expected.trials} trials and {expected.confirmations} confirmations, "
        f"about {expected.hours * 60:.0f} min",
        highlight=False,
    )
    with Shown(expected.seconds, console) as progress:
        result = running(progress)
    facts = {
        "job": result.job.id,
        "state": result.job.state,
        "reason": result.job.reason,
        "tree": str(result.tree),
        "delta_percent": list(result.deltas),
        "report": str(result.report),
        "export": str(result.export),
    }
    show(facts, output)


def _many(count: int | None) -> str:
    if count is None:
        return "more than can be counted"
    return f"{count:,}" if count < 10**12 else f"{float(count):.1e}"


def validate(spec: SpecArgument, output: OutputOption = Output.TABLE) -> None:
    """Check a job, and start and write nothing."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.check import check_job

    checked = check_job(spec)
    show({"valid": True, "name": checked.spec.metadata.name}, output)


def plan(spec: SpecArgument, output: OutputOption = Output.TABLE) -> None:
    """Say what a job would do and take: trees, costs, trainings, time."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.check import check_job
    from branchsearch.jobs.plan import plan as planned

    show(planned(check_job(spec)).as_json(), output)


def train(
    space: Annotated[str, typer.Argument(help="A YAML file, or the name of a space shipped.")],
    tree: Annotated[str, typer.Option("--tree", help="As in: a+b+c > a+b,c > a,b,c")],
    home: HomeOption = DEFAULT_HOME,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    seed: Annotated[int, typer.Option(help="Of initial weights and the images' order.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    output: OutputOption = Output.TABLE,
) -> None:
    """Train one tree of a search space, alone and in this process."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.alone import train_tree

    reports = train_tree(
        space,
        tree,
        root=open_home(home).root,
        epochs=epochs,
        seed=seed,
        threads=threads,
        device=device,
    )
    rows = []
    for report in reports:
        rows.append({"epoch": report["epoch"], **report["metrics"], "seconds": report["seconds"]})
        typer.echo(f"epoch {report['epoch']}: {report['seconds']:.1f} s", err=True)
    show(rows, output)
