"""The affinity of tasks, measured without a search: of a job's baselines, or of given features."""

from collections.abc import Sequence
from pathlib import Path

import torch

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.archive import read_archive
from branchsearch.affinity.estimate import compare
from branchsearch.affinity.measure import Reads
from branchsearch.jobs.affinities import measure
from branchsearch.jobs.check import CheckedJob
from branchsearch.jobs.measures import find_measures
from branchsearch.jobs.reading import InvalidSpec
from branchsearch.jobs.steps import Say, train_all
from branchsearch.jobs.trainings import Trainings


def of_features(path: Path, measures: Sequence[str], *, draws: int, seed: int) -> list[Affinity]:
    """Measure the affinity of tasks whose features somebody has read.

    Args:
        path: As ``branchsearch.affinity.archive`` describes it.
        measures: Names in the catalog.
        draws: Resamplings and permutations.
        seed: Of those.

    Raises:
        UnknownName: No measure has that name.
        InvalidSpec: There is no such file, or a measure reads something else than features.
        NotComparable: The features cannot be compared; says which and why.
    """
    found = find_measures(measures)
    for name, wanted in found.items():
        if wanted.reads is not Reads.FEATURES:
            raise InvalidSpec(
                f"--measure {name}: it reads {wanted.reads}, and {path} holds features; give a job"
            )
    if not path.is_file():
        raise InvalidSpec(f"no file {str(path)!r}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tasks, features = read_archive(path, device=device)
    return compare(found, tasks, {Reads.FEATURES: features}, draws=draws, seed=seed)


def of_job(
    checked: CheckedJob,
    root: Path,
    measures: Sequence[str],
    *,
    draws: int,
    seed: int,
    say: Say,
) -> list[Affinity]:
    """Measure the affinity of a job's tasks; baselines that are kept already are not trained again.

    Args:
        checked: The job.
        root: Where data sets and trainings are kept.
        measures: Names in the catalog.
        draws: Resamplings and permutations.
        seed: Of those.
        say: Hears how the trainings go.

    Raises:
        UnknownName: No measure has that name.
        NotComparable: The tasks cannot be compared; says which and why.
        JobFailed: A training failed.
    """
    from branchsearch.search.engine import Engine  # Ray takes seconds to import

    resources = checked.spec.resources
    with Engine(
        workers=resources.max_concurrent_trials,
        cpus=resources.num_cpus,
        gpus=resources.num_gpus,
        retries=checked.spec.retries.max_per_trial,
    ) as engine:
        return measure(
            Trainings(checked, root),
            lambda needed: train_all(needed, engine, say),
            measures=measures,
            draws=draws,
            batches=checked.spec.affinity.batches,
            seed=seed,
        )
