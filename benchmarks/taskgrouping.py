"""The published task groupings as tables of trees.

T. Standley et al., "Which Tasks Should Be Learned Together in Multi-task Learning?", ICML 2020,
trained a network for every subset of five tasks, under four settings. Networks that share no task
are a tree over one stage, which splits there; the score of a task is its network's loss with the
sign changed. Small networks of single tasks are left out: trees are made of networks of one size.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from branchsearch.search.replay.table import Table, write_table
from branchsearch.space.space import Space

FILE = "taskgrouping_all_subsets.csv"

#: The loss of a task in the network of a group of tasks.
Losses = Mapping[tuple[frozenset[str], str], float]


def convert(source: Path, folder: Path, *, split: str = "val") -> list[Path]:
    """Write a table for each setting; the cost ``networks`` counts networks.

    Args:
        source: Has the columns setting, split, task_subset, network, task and
            loss_lower_is_better.
        folder: Where the tables go, named after the settings.
        split: ``val`` or ``test``.
    """
    losses: dict[str, dict[tuple[frozenset[str], str], float]] = {}
    with source.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == split and row["network"] == "full":
                key = frozenset(row["task_subset"].split("+")), row["task"]
                losses.setdefault(row["setting"], {})[key] = float(row["loss_lower_is_better"])
    paths = []
    for setting, of_setting in losses.items():
        paths.append(folder / f"{setting}.csv")
        write_table(table_of(of_setting), paths[-1])
    return paths


def table_of(losses: Losses) -> Table:
    """The table of every way to part the tasks."""
    space = Space.of({task for _, task in losses}, 1)
    trees = tuple(space)
    scores = [
        {task: -losses[group, task] for group in map(frozenset, tree.members(0)) for task in group}
        for tree in trees
    ]
    return Table(
        trees=trees,
        rows=tuple((number,) for number in range(len(trees))),
        scores=np.array([[by_task[task] for task in space.tasks] for by_task in scores]),
        costs={"networks": np.array([tree.widths[0] for tree in trees], float)},
        curves=np.empty((len(trees), 0)),
    )
