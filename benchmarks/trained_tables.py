"""Trains every tree of two search spaces, with three seeds: the tables that searches are judged by.

``scenes`` has four tasks and three stages, 154 trees; ``scenes_deep`` three tasks and five stages,
51 trees. Each by the default recipe, without early stopping. A row is written after each training,
first all trees with seed 0, then with seed 1 and so on: killed and called again it goes on where it
was, and two processes may share the work (``--part 0/2`` and ``--part 1/2``, each in a home of its
own; ``--join`` puts the rows of several files together).

The columns are those of ``branchsearch replay``: ``tree``, ``seed``, ``score:<task>`` (gain over
the single-task network of the same seed, percent), ``cost:parameters``, ``cost:multiply_adds``;
beside them ``metric:<task>`` (validation), ``delta:<epoch>`` (mean gain after each epoch, against
the finished single-task networks) and ``seconds``.

With ``--affinity`` it measures how alike the tasks are, on the single-task networks of seed 0.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from branchsearch.jobs import affinities
from branchsearch.jobs.check import check_job
from branchsearch.jobs.reading import read_space
from branchsearch.jobs.training import Training, train
from branchsearch.jobs.trainings import Trainings
from branchsearch.train.scores import delta, gain
from branchsearch.tree import Tree

SPACES = ("scenes", "scenes_deep")
SEEDS = 3
FOLDER = Path(__file__).parent / "tables"


def trainings_of(space: str, seed: int, root: Path, epochs: int) -> Trainings:
    """Makes the trainings of a space's trees with one seed."""
    spec = {
        "api_version": "branchsearch/v1",
        "kind": "Search",
        "metadata": {"name": f"table of {space}"},
        "space": read_space(space).model_dump(mode="json"),
        "trial": {"epochs": epochs},
        "reproducibility": {"seed": seed},
    }
    return Trainings(check_job(spec), root)


def rows_of(path: Path) -> list[dict[str, str]]:
    """What was trained so far."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def finished(training: Training) -> dict[str, Any]:
    """Train what is not kept yet, and say what came out."""
    for _ in train(training):
        pass
    return training.result()


def row(trainings: Trainings, tree: Tree, seed: int) -> dict[str, Any]:
    """Train one tree."""
    tasks = trainings.checked.space.tasks
    references = {
        task.name: finished(trainings.of_trial(trainings.alone(task.name)))["metrics"][task.name]
        for task in tasks
    }
    found = finished(trainings.of_trial(tree))
    metrics, cost = found["metrics"], trainings.checked.space.costs.of(tree)
    return {
        "tree": str(tree),
        "seed": seed,
        **{f"score:{t.name}": gain(t, metrics[t.name], references[t.name]) for t in tasks},
        "cost:parameters": cost.parameters,
        "cost:multiply_adds": cost.multiply_adds,
        **{f"metric:{task.name}": metrics[task.name] for task in tasks},
        **{
            f"delta:{number}": delta(tasks, epoch["metrics"], references)
            for number, epoch in enumerate(found["epochs"], start=1)
        },
        "seconds": found["seconds"],
    }


def missing(
    by_seed: Mapping[int, Trainings], done: set[tuple[str, str]], part: tuple[int, int]
) -> Iterator[tuple[int, Tree]]:
    """What is not in the table yet, of the part that this process has to train."""
    which, parts = part
    for seed, trainings in by_seed.items():
        for number, tree in enumerate(trainings.checked.space.space):
            if number % parts == which and (str(tree), str(seed)) not in done:
                yield seed, tree


def write(path: Path, rows: list[dict[str, Any]], *, anew: bool = False) -> None:
    """Append rows, or write the file anew."""
    head = anew or not path.is_file()
    with path.open("w" if anew else "a", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if head:
            writer.writeheader()
        writer.writerows(rows)


def join(paths: list[Path], to: Path) -> None:
    """Put the rows of several files into one, seed by seed in the order of the files."""
    rows = {(row["seed"], row["tree"]): row for path in paths for row in rows_of(path)}
    write(to, [rows[key] for key in sorted(rows)], anew=True)


def measure_affinity(trainings: Trainings, to: Path) -> None:
    """How alike the tasks are by RSA, on the single-task networks."""

    def train_all(needed: Mapping[str, Training]) -> None:
        for training in needed.values():
            finished(training)

    measured = affinities.measure(
        trainings, train_all, measures=["rsa"], draws=200, batches=16, seed=0
    )
    measured[0].save(to)


def main(
    space: Annotated[str, typer.Argument(help=f"one of {', '.join(SPACES)}")],
    *,
    home: Path = Path("trained_tables"),
    part: Annotated[str, typer.Option(help="which of how many parts")] = "0/1",
    epochs: Annotated[int, typer.Option(min=1)] = 8,
    seeds: Annotated[int, typer.Option(min=1)] = SEEDS,
    most: Annotated[int | None, typer.Option(help="rows to add before it ends")] = None,
    joined: Annotated[list[Path] | None, typer.Option("--join", help="join these files")] = None,
    affinity: Annotated[bool, typer.Option("--affinity", help="measure the affinity")] = False,
) -> None:
    """Train what HOME/SPACE.csv lacks; with --join or --affinity write the shipped files."""
    torch.set_num_threads(1)
    home.mkdir(parents=True, exist_ok=True)
    if joined:
        join(joined, FOLDER / f"{space}.csv")
        return
    by_seed = {seed: trainings_of(space, seed, home, epochs) for seed in range(seeds)}
    if affinity:
        measure_affinity(by_seed[0], FOLDER / f"{space}.npz")
        return
    path = home / f"{space}.csv"
    done = {(row["tree"], row["seed"]) for row in rows_of(path)}
    which, parts = part.split("/")
    for count, (seed, tree) in enumerate(missing(by_seed, done, (int(which), int(parts)))):
        if count == most:
            break
        added = row(by_seed[seed], tree, seed)
        write(path, [added])
        print(f"{seed} {added[f'delta:{epochs}']:+7.2f} %  {tree}", flush=True)


if __name__ == "__main__":
    typer.run(main)
