"""Commands that run things, or say what running them would take."""

from typing import Annotated

import typer

from branchsearch.cli.options import (
    DEFAULT_HOME,
    HomeOption,
    Output,
    OutputOption,
    SpecArgument,
    open_home,
)


def run(
    spec: SpecArgument,
    home: HomeOption = DEFAULT_HOME,
    new: Annotated[bool, typer.Option("--new", help="A new job, also if there is one.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Run a job from search to export, or continue it where it stopped."""
    from rich.console import Console

    from branchsearch.cli.output import show
    from branchsearch.cli.progress import Shown
    from branchsearch.jobs.check import check_job
    from branchsearch.jobs.pipeline import run_job
    from branchsearch.jobs.plan import plan as planned

    checked = check_job(spec)
    expected = planned(checked)
    console = Console(stderr=True)
    console.print(
        f"{expected.name}: {_many(expected.trees)} trees, {expected.baselines} baselines, "
        f"at most {expected.trials} trials and {expected.confirmations} confirmations, "
        f"about {expected.hours * 60:.0f} min",
        highlight=False,
    )
    with Shown(expected.seconds, console) as progress:
        result = run_job(checked.spec, open_home(home), progress=progress, new=new)
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
