"""Commands that judge samplers without training anything."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from branchsearch.cli.options import Output, OutputOption

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from optuna.samplers import BaseSampler

    from branchsearch.search.problem import Problem
    from branchsearch.search.replay.replay import Replayed
    from branchsearch.search.replay.simulate import Trainings
    from branchsearch.search.replay.table import Table


def replay(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE.csv",
            help="Trained trees: columns tree, score:<task>, cost:<name> and perhaps seed.",
        ),
    ],
    sampler: Annotated[
        list[str], typer.Option("--sampler", help="A sampler's name; may be given again.")
    ],
    trials: Annotated[int, typer.Option(min=1, help="Trainings in a search.")] = 12,
    start: Annotated[int, typer.Option(min=1, help="So many of them are random trees.")] = 4,
    repeats: Annotated[int, typer.Option(min=1, help="Searches per sampler.")] = 20,
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=MAX", help="An upper bound on a cost; may be given again."),
    ] = None,
    affinity: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="As `branchsearch affinity` writes it.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every random draw.")] = 0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Replay searches on a table of trained trees; say how far each stays behind the best tree."""
    from branchsearch.cli.output import show
    from branchsearch.cli.progress import note
    from branchsearch.search.replay.affinities import read_affinity
    from branchsearch.search.replay.replay import RANDOM_TREE, Replay
    from branchsearch.search.replay.table import read_table
    from branchsearch.search.replay.tabled import problem_of

    _check_names(sampler)
    bounds = _bounds(budget or [])
    within = read_table(table).within(bounds)
    known = read_affinity(affinity, within) if affinity else None
    replaying = Replay(
        table=within,
        problem=problem_of(within, known),
        trials=trials,
        start=start,
        repeats=repeats,
        cost=next(iter([*bounds, *within.costs]), None),
        seed=seed,
    )
    made = _samplers([name for name in sampler if name != RANDOM_TREE], replaying.problem)
    replayed: dict[str, Replayed] = {}
    for name, make in made.items():
        note(f"{name} ...")
        replayed[name] = replaying.of_sampler(make)
    replayed |= {RANDOM_TREE: replaying.of_random_tree(), **replaying.of_rules()}
    if output is Output.JSON:
        show(_facts(replayed, seed), output)
    else:
        show(_rows(replayed, start, seed), output)
        typer.echo(_legend(within, repeats))


def simulate(
    sampler: Annotated[
        list[str], typer.Option("--sampler", help="A sampler's name; may be given again.")
    ],
    table: Annotated[
        Path | None,
        typer.Argument(metavar="[TABLE.csv]", help="As `branchsearch replay` takes it."),
    ] = None,
    synthetic: Annotated[
        str,
        typer.Option(metavar="TASKSxSTAGES", help="Without a table: a made-up space of that size."),
    ] = "8x5",
    workers: Annotated[int, typer.Option(min=1, help="Trainings side by side.")] = 100,
    trials: Annotated[int, typer.Option(min=1, help="Trainings in all.")] = 1_000,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="How long a training takes; by default as long as the table's column `seconds` "
            "says, and 60 for the smallest tree of a made-up space.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every random draw.")] = 0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Simulate searches with many workers; say how good the best tree is after how long."""
    import time

    from branchsearch.cli.output import show
    from branchsearch.cli.progress import note
    from branchsearch.search.replay.simulate import simulate

    _check_names(sampler)
    trainings = _trainings(table, synthetic, seconds, seed)
    rows = []
    for name, make in _samplers(sampler, trainings.problem).items():
        note(f"{name} ...")
        began = time.perf_counter()
        found = simulate(trainings, make, trials=trials, workers=workers, seed=seed)
        rows.append(
            {
                "sampler": name,
                "simulated_hours": float(found.ended[-1]) / 3600,
                "workers_busy": found.busy,
                **{
                    f"best_after_{part}_percent": float(
                        found.best[max(0, trials * part // 100 - 1)]
                    )
                    for part in (10, 25, 50, 100)
                },
                "seconds_per_proposal": float(found.proposals.mean()),
                "longest_proposal": float(found.proposals.max()),
                "seconds": time.perf_counter() - began,
            }
        )
    show(rows, output)


def _trainings(table: Path | None, synthetic: str, seconds: float | None, seed: int) -> "Trainings":
    from branchsearch.search.replay.simulate import TableTrainings
    from branchsearch.search.replay.synthetic import plant
    from branchsearch.search.replay.table import read_table
    from branchsearch.search.replay.tabled import problem_of

    if table:
        read = read_table(table)
        return TableTrainings(read, problem_of(read), seconds)
    tasks, _, stages = synthetic.partition("x")
    if not (tasks.isdecimal() and stages.isdecimal() and int(tasks) > 1 and int(stages) > 0):
        raise typer.BadParameter(
            f"{synthetic!r} is no size; write TASKSxSTAGES, as in 8x5", param_hint="--synthetic"
        )
    try:
        return plant(
            int(tasks), int(stages), seed=seed, seconds=60.0 if seconds is None else seconds
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--synthetic") from None


def _check_names(samplers: list[str]) -> None:
    from branchsearch.catalog import check

    for name in samplers:
        check("sampler", name)


def _samplers(names: list[str], problem: "Problem") -> "dict[str, Callable[[int], BaseSampler]]":
    """What makes each of the samplers; one that cannot be made is told before any is run."""
    from branchsearch.catalog import find

    made = {}
    for name in dict.fromkeys(names):
        try:
            made[name] = find("sampler", name)(problem)
            made[name](0)
        except (ValueError, TypeError) as error:
            raise typer.BadParameter(f"{name}: {error}", param_hint="--sampler") from None
    return made


def _bounds(texts: list[str]) -> dict[str, float]:
    """Budgets by the names of costs; of two on one the lower counts."""
    bounds: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            most = float(number.replace("_", ""))
        except ValueError:
            raise typer.BadParameter(
                f"{text!r} is no upper bound; write COLUMN=MAX, as in parameters=200000",
                param_hint="--budget",
            ) from None
        name = name.strip().removeprefix("cost:")
        bounds[name] = min(most, bounds.get(name, most))
    return bounds


def _facts(replayed: "dict[str, Replayed]", seed: int) -> dict[str, dict[str, Any]]:
    """Every measure by sampler; None where it has none, since JSON knows no NaN."""
    import numpy as np

    from branchsearch.search.replay.measures import mean_interval

    facts: dict[str, dict[str, Any]] = {
        "regret": {},
        "interval": {},
        "spearman": {},
        "hypervolume": {},
        "seconds": {},
    }
    for name, found in replayed.items():
        low, high = mean_interval(found.regret, seed=seed)
        facts["regret"][name] = found.regret.mean(axis=0).tolist()
        facts["interval"][name] = np.stack([low, high], axis=1).tolist()
        facts["spearman"][name] = _mean(found.spearman)
        facts["hypervolume"][name] = _mean(found.hypervolume)
        facts["seconds"][name] = _mean(found.seconds)
    return facts


def _rows(replayed: "dict[str, Replayed]", start: int, seed: int) -> list[dict[str, Any]]:
    """One row per sampler, with the regret at the start, half way and at the end."""
    facts = _facts(replayed, seed)
    places = len(next(iter(facts["regret"].values())))
    return [
        {
            "sampler": name,
            **{
                f"regret after {start + place}": f"{regret[place]:.3f} "
                f"({facts['interval'][name][place][0]:.3f} ... "
                f"{facts['interval'][name][place][1]:.3f})"
                for place in dict.fromkeys((0, (places - 1) // 2, places - 1))
            },
            **{key: facts[key][name] for key in ("spearman", "hypervolume", "seconds")},
        }
        for name, regret in facts["regret"].items()
    ]


def _legend(table: "Table", repeats: int) -> str:
    best = int(table.quality.argmax())
    return (
        f"mean of {repeats} repeats and its 95 % interval; seconds of one repeat\n"
        f"the best of {len(table.trees)} trees has the quality {table.quality[best]:.4g}: "
        f"{table.trees[best]}"
    )


def _mean(values: "np.ndarray") -> float | None:
    """The mean of the repeats that have a value; None where none has."""
    import numpy as np

    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else None
