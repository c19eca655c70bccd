"""Trains every tree of two search spaces, with three seeds: the tables that searches are judged by.

``scenes`` has four tasks and three stages, 154 trees; ``scenes_deep`` three tasks and five stages,
51 trees. Each by the default recipe, without early stopping, by as many processes as are asked for,
on CPU cores, on a GPU or both. A row is written after each training, first those with seed 0, then
with seed 1 and so on: killed and called again it goes on where it was.

The columns are those of ``branchsearch replay``: ``tree``, ``seed``, ``score:<task>`` (gain over
the single-task network of the same seed, percent), ``cost:parameters``, ``cost:multiply_adds``;
beside them ``metric:<task>`` (validation), ``delta:<epoch>`` (mean gain after each epoch, against
the finished single-task networks), ``seconds`` (of a process among those that ran beside it) and
``device``. The single-task networks are always trained on CPU cores, so that one reference serves
all rows of a seed.

With ``--write`` the finished table goes where the others are, put in order, with how alike the
tasks are by RSA, measured on the single-task networks of seed 0. What a seed adds to the gains of
all trees alike is taken off there: it comes from the few networks that the seed's trees are
compared with, a search trains all its trees with one seed, and rows of several seeds that stand
in for one another would mix it in as noise that no search meets. Metrics stay as they were.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import torch
import typer

from branchsearch.jobs import affinities
from branchsearch.jobs.check import check_job
from branchsearch.jobs.reading import read_space
from branchsearch.jobs.training import Training, open_dataset, train
from branchsearch.jobs.trainings import Trainings
from branchsearch.train.scores import delta, gain
from branchsearch.tree import Tree

SPACES = ("scenes", "scenes_deep")
SEEDS = 3
FOLDER = Path(__file__).parent / "tables"

#: The device of this process, when it is one of those that train.
_device = "cpu"


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


def take_device(devices: "Queue[str]") -> None:
    """Begin a process that trains: it takes one of the devices for itself."""
    global _device
    _device = devices.get()


def finished(training: Training) -> dict[str, Any]:
    """Train on a CPU core what is not kept yet, and say what came out."""
    for _ in train(training):
        pass
    return training.result()


def finished_here(training: Training) -> tuple[dict[str, Any], str]:
    """As ``finished``, on the device of this process, which is given, too."""
    return finished(replace(training, device=_device)), _device


def references(trainings: Trainings) -> dict[str, dict[str, Any]]:
    """What the single-task networks, which are trained, came to."""
    return {
        task.name: trainings.of_trial(trainings.alone(task.name)).result()
        for task in trainings.checked.space.tasks
    }


def row(trainings: Trainings, tree: Tree, found: Mapping[str, Any], device: str) -> dict[str, Any]:
    """A tree's line in the table."""
    tasks, metrics = trainings.checked.space.tasks, found["metrics"]
    alone = {task: result["metrics"][task] for task, result in references(trainings).items()}
    cost = trainings.checked.space.costs.of(tree)
    return {
        "tree": str(tree),
        "seed": found["seed"],
        **{f"score:{t.name}": gain(t, metrics[t.name], alone[t.name]) for t in tasks},
        "cost:parameters": cost.parameters,
        "cost:multiply_adds": cost.multiply_adds,
        **{f"metric:{task.name}": metrics[task.name] for task in tasks},
        **{
            f"delta:{number}": delta(tasks, epoch["metrics"], alone)
            for number, epoch in enumerate(found["epochs"], start=1)
        },
        "seconds": found["seconds"],
        "device": device,
    }


def missing(
    by_seed: Mapping[int, Trainings], done: set[tuple[str, str]]
) -> Iterator[tuple[int, Tree]]:
    """What is not in the table yet, in the order in which it should come."""
    for seed, trainings in by_seed.items():
        for tree in trainings.checked.space.space:
            if (str(tree), str(seed)) not in done:
                yield seed, tree


def append(path: Path, added: dict[str, Any]) -> None:
    """Write a row at the end of a table."""
    head = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(added))
        if head:
            writer.writeheader()
        writer.writerow(added)


def without_what_seeds_add(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows in which every gain has the same mean over the trees of each seed.

    Args:
        rows: Of the same trees with every seed.
    """
    gains = [column for column in rows[0] if column.startswith(("score:", "delta:"))]
    added: dict[tuple[str, str], float] = {}
    for column in gains:
        overall = fmean(float(row[column]) for row in rows)
        for seed in {row["seed"] for row in rows}:
            of_seed = fmean(float(row[column]) for row in rows if row["seed"] == seed)
            added[column, seed] = of_seed - overall
    return [
        {**row, **{column: float(row[column]) - added[column, row["seed"]] for column in gains}}
        for row in rows
    ]


def publish(path: Path, by_seed: Mapping[int, Trainings]) -> None:
    """Write a finished table in order where the others are, and the affinity beside it."""
    left = list(missing(by_seed, {(row["tree"], row["seed"]) for row in rows_of(path)}))
    if left:
        raise typer.BadParameter(f"{path} lacks {len(left)} trainings; train them first")
    order = [str(tree) for tree in by_seed[0].checked.space.space]
    rows = without_what_seeds_add(rows_of(path))
    rows.sort(key=lambda row: (int(row["seed"]), order.index(row["tree"])))
    with (FOLDER / path.name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    measured = affinities.measure(
        by_seed[0], _all_kept, measures=["rsa"], draws=200, batches=16, seed=0
    )
    measured[0].save((FOLDER / path.name).with_suffix(".npz"))


def _all_kept(needed: Mapping[str, Training]) -> None:
    for training in needed.values():
        training.result()


def fill(
    path: Path,
    by_seed: Mapping[int, Trainings],
    wanted: Iterable[tuple[int, Tree]],
    devices: list[str],
) -> Iterator[dict[str, Any]]:
    """Train, and write and give the rows as they come."""
    one = by_seed[0].of_trial(by_seed[0].shared)
    open_dataset(one.dataset, one.home)  # drawn once, then read by all
    context = get_context("spawn")  # a forked process cannot use a GPU
    queue: Queue[str] = context.Queue()
    for device in devices:
        queue.put(device)
    with ProcessPoolExecutor(
        len(devices), mp_context=context, initializer=take_device, initargs=(queue,)
    ) as pool:
        alone = [t.of_trial(t.alone(task)) for t in by_seed.values() for task in t.shared.tasks]
        compared_with = [pool.submit(finished, training) for training in alone]
        asked = {
            pool.submit(finished_here, by_seed[seed].of_trial(tree)): (seed, tree)
            for seed, tree in wanted
        }
        for reference in compared_with:
            reference.result()
        for done in as_completed(asked):
            seed, tree = asked[done]
            added = row(by_seed[seed], tree, *done.result())
            append(path, added)
            yield added


def main(
    space: Annotated[str, typer.Argument(help=f"one of {', '.join(SPACES)}")],
    *,
    home: Annotated[Path, typer.Option(help="where trainings and rows are kept")] = Path(
        "trained_tables"
    ),
    cpus: Annotated[int, typer.Option(min=0, help="processes on a CPU core")] = 2,
    gpus: Annotated[int, typer.Option(min=0, help="processes that share the GPU")] = 0,
    epochs: Annotated[int, typer.Option(min=1)] = 8,
    seeds: Annotated[int, typer.Option(min=1)] = SEEDS,
    most: Annotated[int | None, typer.Option(help="rows to add before it ends")] = None,
    write: Annotated[bool, typer.Option("--write", help="only write the shipped files")] = False,
) -> None:
    """Train what HOME/SPACE.csv lacks; with --write publish it."""
    torch.set_num_threads(1)
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{space}.csv"
    by_seed = {seed: trainings_of(space, seed, home, epochs) for seed in range(seeds)}
    if write:
        publish(path, by_seed)
        return
    done = {(row["tree"], row["seed"]) for row in rows_of(path)}
    wanted = list(missing(by_seed, done))[:most]
    for added in fill(path, by_seed, wanted, ["cuda"] * gpus + ["cpu"] * cpus):
        gained = added[f"delta:{epochs}"]
        print(f"{added['seed']} {gained:+7.2f} % {added['device']:4} {added['tree']}", flush=True)


if __name__ == "__main__":
    typer.run(main)
