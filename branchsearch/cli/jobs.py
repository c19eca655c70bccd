"""Commands that run things, or say what running them would take."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from branchsearch.cli.options import (
    DEFAULT_HOME,
    DeviceOption,
    EpochsOption,
    HomeOption,
    JobArgument,
    Output,
    OutputOption,
    SpecArgument,
    ThreadsOption,
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

    checked, opened = check_job(spec), open_home(home)
    _run(
        checked,
        lambda progress: run_job(
            spec, opened, progress=progress, new=new, early_stopping=not no_early_stopping
        ),
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
    from branchsearch.jobs.machine import check_machine
    from branchsearch.jobs.pipeline import go_on

    opened, seen = find_job(home, job)
    check_machine(seen.checked.spec, seen.checked.spec)  # before anything is raised
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
    from branchsearch.cli.progress import Shown, duration, say_step
    from branchsearch.jobs.plan import plan as planned
    from branchsearch.report.words import percent_of_seeds

    console = Console(stderr=True)
    say_step("plan", console)
    expected = planned(checked)
    takes = duration(max(1.0, expected.hours * 3600))
    console.out(
        f"{expected.name}: {_many(expected.trees)} trees, {expected.baselines} baselines, "
        f"at most {expected.trials} trials and {expected.confirmations} confirmations, "
        f"about {takes} of training; start and export are not counted",
        highlight=False,
    )
    with Shown(expected.seconds, console) as progress:
        result = running(progress)
    gain: dict[str, Any] = {"delta on test": percent_of_seeds(result.deltas)}
    if output is Output.JSON:
        gain = {"delta_percent": list(result.deltas)}
    facts = {
        "job": result.job.id,
        "state": result.job.state,
        "reason": result.job.reason,
        "tree": str(result.tree),
        **gain,
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
    _warn(spec, checked)
    show({"valid": True, "name": checked.spec.metadata.name}, output)


def plan(spec: SpecArgument, output: OutputOption = Output.TABLE) -> None:
    """Say what a job would do and take: trees, costs, trainings, time."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.check import check_job
    from branchsearch.jobs.plan import plan as planned

    checked = check_job(spec)
    _warn(spec, checked)
    show(planned(checked).as_json(), output)


def _warn(source: str, checked: "CheckedJob") -> None:
    """Say what a job asks for that this machine has not: it may be meant for another one."""
    from branchsearch.jobs.machine import shortage

    if lacking := shortage(source, checked.spec):
        typer.echo(f"branchsearch: warning: {lacking}", err=True)


def train(
    space: Annotated[str, typer.Argument(help="A YAML file, or the name of a space shipped.")],
    tree: Annotated[str, typer.Option("--tree", help="As in: a+b+c > a+b,c > a,b,c")],
    home: HomeOption = DEFAULT_HOME,
    epochs: EpochsOption = None,
    seed: Annotated[int, typer.Option(help="Of initial weights and the images' order.")] = 0,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
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
