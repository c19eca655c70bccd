"""Commands that hand out what a job has found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
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
    ThreadsOption,
    find_job,
    open_home,
)

if TYPE_CHECKING:
    from branchsearch.jobs.comparing import Candidate


FormatsOption = Annotated[
    str, typer.Option(help="Of torch, pt2, onnx, pt2_half, onnx_half, onnx_int8.")
]
FuseOption = Annotated[
    bool, typer.Option("--fuse", help="Batch norms into convolutions, but for torch.")
]
TasksOption = Annotated[str, typer.Option(help="Those to serve, as in: a,b; else all.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


def export(
    job: JobArgument,
    to: Annotated[Path, typer.Option("--to", help="The folder to make.")],
    trial: Annotated[
        int | None, typer.Option(help="A trial's number; else the chosen network.")
    ] = None,
    tree: Annotated[str | None, typer.Option(help="A tree, as in: a+b+c > a+b,c.")] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="All on the front of gain and size.")
    ] = False,
    weights: Annotated[
        str | None, typer.Option(help="trained (by the search), confirmed or scratch.")
    ] = None,
    formats: FormatsOption = "torch",
    fuse: FuseOption = False,
    tasks: TasksOption = "",
    overwrite: OverwriteOption = False,
    home: HomeOption = DEFAULT_HOME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Export a trained network as a folder that runs without branchsearch."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.handing import Handing, Wanted, Weights, hand_out_wanted
    from branchsearch.jobs.trainings import Trainings

    if weights not in (None, *Weights):
        raise typer.BadParameter(f"{weights!r} is none of {', '.join(Weights)}")
    opened, seen = find_job(home, job)
    how = Handing(_names(formats), fuse, _names(tasks), overwrite)
    try:
        wanted = Wanted(trial, tree, pareto, None if weights is None else Weights(weights))
        made = hand_out_wanted(Trainings(seen.checked, opened.root), seen, wanted, to, how)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    show({"export": str(made[0]) if len(made) == 1 else list(map(str, made))}, output)


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An exported folder.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Check an exported folder's files, and repeat the proof of what they do."""
    from branchsearch.cli.output import show
    from branchsearch.export.verify import verify as verified

    found = verified(folder)
    proof = found["proof"]
    show(
        {
            "verified": str(folder),
            "files": len(found["files"]),
            "largest_relative_difference": {
                "model.py": proof["outputs"]["largest_relative_difference"],
                **{
                    file: graph["largest_relative_difference"]
                    for file, graph in proof["graphs"].items()
                },
            },
            "parameters": proof["cost"]["parameters"],
            "multiply_adds": proof["cost"]["multiply_adds"],
            **({"not_proven_here": found["left_out"]} if found["left_out"] else {}),
        },
        output,
    )


def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An exported folder.")],
    train: Annotated[
        str | None, typer.Option(help="A search space on whose images it is trained further.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Where it is exported to after that.")
    ] = None,
    epochs: EpochsOption = None,
    seed: Annotated[int, typer.Option(help="Of the images' order.")] = 0,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    formats: FormatsOption = "torch",
    fuse: FuseOption = False,
    tasks: TasksOption = "",
    overwrite: OverwriteOption = False,
    home: HomeOption = DEFAULT_HOME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Bring an exported network back: say what it is, or train it further and export it again."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.comparing import measured
    from branchsearch.jobs.handing import Handing
    from branchsearch.jobs.importing import bring_back, retrain
    from branchsearch.jobs.reading import InvalidSpec

    if (train is None) != (to is None):
        raise typer.BadParameter("--train and --to go together")
    how = Handing(_names(formats), fuse, _names(tasks), overwrite)
    if train is None and how != Handing(("torch",)):
        raise typer.BadParameter("without --train nothing is exported")
    if train is None and (epochs, seed, threads, device) != (None, 0, 1, "cpu"):
        raise typer.BadParameter("without --train nothing is trained")
    imported = bring_back(folder)
    facts: dict[str, Any] = {
        "imported": str(folder),
        "tree": str(imported.network.tree),
        "tasks": [task.name for task in imported.tasks],
        "image_size": list(imported.size),
        "parameters": sum(weight.numel() for weight in imported.network.parameters()),
        "metrics": {
            task: measured(value)[0] for task, value in imported.described["metrics"].items()
        },
    }
    if train is not None and to is not None:
        try:
            facts["test_metrics"] = retrain(
                imported,
                train,
                to,
                root=open_home(home).root,
                epochs=epochs,
                seed=seed,
                threads=threads,
                device=device,
                how=how,
            )
        except InvalidSpec:
            raise
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        facts["export"] = str(to)
    show(facts, output)


def compare(
    networks: Annotated[
        list[str],
        typer.Argument(metavar="DIR|JOB|JOB:TRIAL ...", help="Exported folders, jobs, trials."),
    ],
    figure: Annotated[Path | None, typer.Option(help="An HTML file for the figure.")] = None,
    home: HomeOption = DEFAULT_HOME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Compare networks: metrics, gain, size, latency and memory on this machine."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.comparing import compare as compared

    found = [one.as_json() for one in compared([_candidate(name, home) for name in networks])]
    if figure is not None:
        from branchsearch.report.comparison import write_comparison

        write_comparison(found, figure)
    tasks = list(dict.fromkeys(task for one in found for task in one["metrics"]))
    show(found if output is Output.JSON else [_row(one, tasks) for one in found], output)


def _candidate(name: str, home: Path) -> "Candidate":
    from branchsearch.jobs.comparing import exported, of_job
    from branchsearch.jobs.trainings import Trainings

    if Path(name).is_dir():
        return exported(Path(name))
    job, _, trial = name.partition(":")
    if trial and not trial.isdecimal():
        raise typer.BadParameter(f"{name!r} is no folder, no job, and no job with a trial's number")
    opened, seen = find_job(home, job)
    return of_job(name, Trainings(seen.checked, opened.root), seen, int(trial) if trial else None)


def _row(one: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, Any]:
    """A network on one line, with a column for every task that one of the networks serves."""
    return {
        "network": one["name"],
        "measured_on": one["measured_on"],
        **{task: _with_spread(one["metrics"].get(task)) for task in tasks},
        "delta_percent": _with_spread(one["delta"]),
        "parameters": one["parameters"],
        "multiply_adds": one["multiply_adds"],
        **{f"ms_{batch}": 1000 * seconds for batch, seconds in one["seconds"].items()},
        **{f"mib_{batch}": mib for batch, mib in one["mib"].items()},
    }


def _with_spread(measured: Mapping[str, float | None] | None) -> str:
    if measured is None:
        return "-"
    mean, spread = measured["mean"], measured["spread"]
    return f"{mean:.4g}" + (f" ± {spread:.2g}" if spread is not None else "")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if text and not names:
        raise typer.BadParameter(f"{text!r} names nothing")
    return names


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
    output: OutputOption = Output.TABLE,
) -> None:
    """Open Optuna Dashboard on all studies, for reading only; Ctrl-C ends it."""
    from branchsearch.cli.output import show
    from branchsearch.cli.serving import serve
    from branchsearch.jobs.job import JobNotFound

    opened = open_home(home)
    if not opened.exists():
        raise JobNotFound(f"no job was ever run in {opened.root}")
    studies = [job.id for job in opened.store.newest_first()]
    show({"url": f"http://{host}:{port}/dashboard", "studies": studies}, output)
    serve(opened.store.optuna_storage(), host, port)
