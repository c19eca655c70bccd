"""What first weights do to trees of ``scenes``: to the final gain, and to early rankings.

Trains the same trees from scratch, from copies of the single-task networks and from their aligned
means, each by the default recipe, and writes a row per training to a CSV file. Killed and called
again it goes on where it was: rows that are there are not trained again, and a training goes on
from its last checkpoint. With ``--summary`` it trains nothing and says what the rows come to.

Early rankings are compared with final ones as early stopping sees them: the gain after two epochs
of a training against the gain after its last.

A tree that inherits has the epochs of the single-task networks behind it, and gains by them over
networks that had one training. So the tree that shares nothing is trained in each way, too, and
``at equal training`` is the gain over that one: what sharing gives, and not what more epochs do.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from typing import Annotated, Any

import torch
import typer
from scipy.stats import spearmanr

from branchsearch.jobs.check import check_job
from branchsearch.jobs.reading import read_space
from branchsearch.jobs.training import train
from branchsearch.jobs.trainings import Trainings
from branchsearch.task import Task
from branchsearch.train.scores import delta
from branchsearch.tree import Tree

HOWS = ("scratch", "copy", "mean")

#: Epochs after which early stopping first compares.
_EARLY = 2

_COLUMNS = ("tree", "inherit", "delta_early", "delta", "seconds", "metrics")


def trainings_by(how: str, root: Path, epochs: int, images: int) -> Trainings:
    """Makes the trainings of the trees that start so."""
    space: Any = read_space("scenes").model_dump(mode="json")
    if images:
        space["dataset"]["args"] |= {"train": images, "validation": images, "test": 8, "probe": 8}
    spec = {
        "api_version": "branchsearch/v1",
        "kind": "Search",
        "metadata": {"name": "inheritance"},
        "space": space,
        "trial": {"epochs": epochs, "inherit": how},
    }
    return Trainings(check_job(spec), root)


def chosen(trainings: Trainings, count: int) -> list[Tree]:
    """The tree that shares nothing, and others drawn by chance, always the same."""
    trees = [tree for tree in trainings.checked.space.space if tree != trainings.separate]
    return [trainings.separate, *Random(0).sample(trees, count)]


def rows_of(path: Path) -> list[dict[str, str]]:
    """What was measured so far."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def measured(
    by: dict[str, Trainings], trees: list[Tree], done: set[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    """A row per training that is not done: tree by tree, so that what is there can be compared."""
    first = by["scratch"]
    references = {}
    for task in first.checked.space.tasks:
        *_, last = train(first.of_trial(first.alone(task.name)))
        references[task.name] = last["metrics"][task.name]
    for tree in trees:
        for how, trainings in by.items():
            if (str(tree), how) in done:
                continue
            reports = list(train(trainings.of_trial(tree)))
            gains = [
                delta(first.checked.space.tasks, report["metrics"], references)
                for report in reports
            ]
            yield {
                "tree": str(tree),
                "inherit": how,
                "delta_early": gains[_EARLY - 1],
                "delta": gains[-1],
                "seconds": reports[-1]["seconds"],
                "metrics": json.dumps(reports[-1]["metrics"]),
            }


def summary(rows: list[dict[str, str]], tasks: Sequence[Task], separate: Tree) -> list[str]:
    """Of the trees that were trained in every way: mean gains, and how early ranks keep."""
    by_tree: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        by_tree.setdefault(row["tree"], {})[row["inherit"]] = row
    alone = by_tree.pop(str(separate), {})
    whole = [ways for ways in by_tree.values() if set(ways) == set(HOWS)]
    lines = [f"{len(whole)} trees trained in every way"]
    for how in HOWS if len(whole) > 2 and set(alone) == set(HOWS) else ():
        early, final = ([float(ways[how][key]) for ways in whole] for key in _COLUMNS[2:4])
        scratch = [float(ways["scratch"]["delta"]) for ways in whole]
        equal = [delta(tasks, _metrics(ways[how]), _metrics(alone[how])) for ways in whole]
        lines.append(
            f"{how}: gain {_mean(final)} %, {_mean(_minus(final, scratch))} over scratch, "
            f"{_mean(equal)} at equal training; Spearman of {_EARLY} epochs against all "
            f"{_spearman(early, final)}, of {_EARLY} epochs against all from scratch "
            f"{_spearman(early, scratch)}, of all against all from scratch "
            f"{_spearman(final, scratch)}"
        )
    return lines


def _metrics(row: dict[str, str]) -> dict[str, float]:
    found: dict[str, float] = json.loads(row["metrics"])
    return found


def _minus(ones: list[float], others: list[float]) -> list[float]:
    return [one - other for one, other in zip(ones, others, strict=True)]


def _mean(values: list[float]) -> str:
    return f"{fmean(values):+.2f} ± {stdev(values) / len(values) ** 0.5:.2f}"


def _spearman(ones: list[float], others: list[float]) -> str:
    return f"{spearmanr(ones, others).statistic:.2f}"


def main(
    *,
    home: Path = Path("inheritance"),
    trees: Annotated[int, typer.Option(min=1)] = 24,
    epochs: Annotated[int, typer.Option(min=_EARLY)] = 8,
    images: Annotated[int, typer.Option(help="of each part; 0 for all")] = 0,
    summary_only: Annotated[bool, typer.Option("--summary")] = False,
) -> None:
    """Train what is missing in HOME/inheritance.csv, then say what it comes to."""
    torch.set_num_threads(1)
    path = home / "inheritance.csv"
    by = {how: trainings_by(how, home, epochs, images) for how in HOWS}
    if not summary_only:
        home.mkdir(parents=True, exist_ok=True)
        done = {(row["tree"], row["inherit"]) for row in rows_of(path)}
        for row in measured(by, chosen(by["scratch"], trees), done):
            new = not path.is_file()
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, _COLUMNS)
                if new:
                    writer.writeheader()
                writer.writerow(row)
            print(f"{row['inherit']:8}{row['delta']:+7.2f} %  {row['tree']}", flush=True)
    first = by["scratch"]
    print("\n".join(summary(rows_of(path), first.checked.space.tasks, first.separate)))


if __name__ == "__main__":
    typer.run(main)
