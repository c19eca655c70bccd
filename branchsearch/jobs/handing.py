"""Handing a trained network out: from what is kept of a job to an exported folder."""

from pathlib import Path
from typing import Any

from branchsearch.export.folder import export
from branchsearch.jobs.gather import Seen
from branchsearch.jobs.training import Training, open_dataset
from branchsearch.jobs.trainings import Trainings


class NothingToExport(LookupError):
    """The job has no such network, or not yet."""


def export_chosen(trainings: Trainings, seen: Seen, to: Path, *, overwrite: bool = False) -> Path:
    """Export the network that the confirmation chose.

    Raises:
        NothingToExport: The job is not that far.
        ProofFailed: The exported network is not the trained one; nothing appears at ``to``.
        OSError: It cannot be written; nothing appears at ``to``.
    """
    for entry in seen.confirmed():
        if entry["chosen"]:
            tree = next(c.tree for c in seen.findings().confirmed if c.chosen)
            training = trainings.of_confirmation(tree, entry["exported_seed"])
            facts = {
                "metrics": {
                    task: {"test, mean of seeds": sum(v) / len(v), **_by_seed(v)}
                    for task, v in entry["test"].items()
                },
                "delta": entry["deltas"],
            }
            return _export(training, seen, to, facts, overwrite)
    raise NothingToExport(f"job {seen.job.id} has confirmed no network yet; name a trial")


def export_trial(
    trainings: Trainings, seen: Seen, number: int, to: Path, *, overwrite: bool = False
) -> Path:
    """Export the network of one complete trial.

    Raises:
        NothingToExport: There is no such trial, or it was not trained to its end.
        ProofFailed: As ``export_chosen``.
        OSError: As ``export_chosen``.
    """
    trial = next((trial for trial in seen.trials() if trial.number == number), None)
    if trial is None:
        raise NothingToExport(f"job {seen.job.id} has no trial {number}")
    training = trainings.of_trial(trial.tree)
    if training.kept() is None:
        raise NothingToExport(
            f"trial {number} is {trial.outcome}: no trained network is kept of it"
        )
    facts = {"metrics": dict(trial.metrics), "delta": trial.delta, "trial": number}
    return _export(training, seen, to, facts, overwrite)


def _export(
    training: Training, seen: Seen, to: Path, facts: dict[str, Any], overwrite: bool
) -> Path:
    dataset = open_dataset(training.dataset, training.home)
    provenance = {
        **seen.findings().provenance,
        "job": seen.job.id,
        "seed": str(training.seed),
        "training": training.key,
    }
    return export(
        to,
        network=training.trained(),
        tasks=training.tasks,
        size=seen.checked.space.collection.image_size,
        mean=dataset.mean,
        std=dataset.std,
        facts={**facts, "provenance": provenance},
        overwrite=overwrite,
    )


def _by_seed(values: list[float]) -> dict[str, float]:
    return {f"seed {number}": value for number, value in enumerate(values, start=1)}
