"""The affinities of a job's tasks: measured on its baselines, kept in its folder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from branchsearch import catalog
from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.estimate import Finished, estimate
from branchsearch.jobs.measures import find_measures
from branchsearch.jobs.training import Training, open_dataset
from branchsearch.jobs.trainings import Trainings
from branchsearch.task import KINDS
from branchsearch.tree import Tree

#: The file of the first measure, the one that samplers use.
AFFINITY = "affinity.npz"

#: Has trainings done that are not kept yet; by names for messages.
TrainAll = Callable[[Mapping[str, Training]], None]


def measure(
    trainings: Trainings,
    train_all: TrainAll,
    *,
    measures: Sequence[str],
    draws: int,
    batches: int,
    seed: int,
) -> list[Affinity]:
    """Compare a job's tasks by several measures; trains what is not kept yet.

    Args:
        trainings: Of the job.
        train_all: Trains.
        measures: Names in the catalog, of which there is at least one.
        draws: Resamplings and permutations.
        batches: Training batches that gradients and losses are read from.
        seed: Of the draws.

    Raises:
        NotComparable: The tasks cannot be compared; says which and why.
    """
    checked = trainings.checked
    one = trainings.of_trial(trainings.shared)

    def train(trees: Sequence[Tree]) -> Sequence[Finished]:
        needed = {str(tree): trainings.of_trial(tree) for tree in trees}
        train_all(needed)
        return list(needed.values())

    return estimate(
        find_measures(measures),
        tasks=checked.space.tasks,
        stages=checked.space.space.stages,
        train=train,
        dataset=open_dataset(one.dataset, trainings.root),
        losses={
            task.name: catalog.find("loss", KINDS[task.kind].loss) for task in checked.space.tasks
        },
        batches=batches,
        batch_size=one.recipe.batch_size,
        step=one.recipe.learning_rate,
        draws=draws,
        seed=seed,
        device=torch.device(one.device),
        folder=trainings.root,
    )


def save(affinities: Sequence[Affinity], folder: Path) -> None:
    """Write one file per measure, the first one last: where it is, all are."""
    files = paths(folder, [affinity.measure for affinity in affinities])
    for affinity in reversed(affinities):
        affinity.save(files[affinity.measure])


def load(folder: Path, measures: Sequence[str]) -> list[Affinity]:
    """What ``save`` wrote; empty where it did not come to its end."""
    files = paths(folder, measures)
    if not (folder / AFFINITY).is_file():
        return []
    return [Affinity.load(files[name]) for name in measures]


def paths(folder: Path, measures: Sequence[str]) -> dict[str, Path]:
    """The file of each measure: ``affinity.npz`` for the first, ``affinity-<name>.npz`` beside."""
    first, *others = measures
    return {first: folder / AFFINITY} | {name: folder / f"affinity-{name}.npz" for name in others}
