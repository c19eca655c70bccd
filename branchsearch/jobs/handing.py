"""Handing a trained network out: from what is kept of a job to an exported folder."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from branchsearch.export.folder import FolderExists, aside, check_free, export
from branchsearch.export.learning import Learning
from branchsearch.export.sliced import sliced
from branchsearch.files import parents_of
from branchsearch.jobs.calibrating import calibration
from branchsearch.jobs.check import check_tree
from branchsearch.jobs.gather import Seen
from branchsearch.jobs.keys import choices_of, kept_training
from branchsearch.jobs.training import Training, open_dataset
from branchsearch.jobs.trainings import Trainings
from branchsearch.model.branched import BranchedNetwork
from branchsearch.report.findings import TrialResult, mean_and_spread
from branchsearch.report.front import front, gained
from branchsearch.search.outcome import Outcome
from branchsearch.search.tuned import Choices
from branchsearch.tree import Tree


class NothingToExport(LookupError):
    """The job has no such network, or not yet."""


class Weights(StrEnum):
    """Which weights a network is handed out with."""

    TRAINED = "trained"
    CONFIRMED = "confirmed"
    SCRATCH = "scratch"


@dataclass(frozen=True)
class Network:
    """A network of a job, with the weights that it is handed out with.

    Attributes:
        name: What to call it.
        training: What made it, or would make it.
        weights: Which weights.
        facts: What is known of it, as ``branchsearch.export.folder.export`` takes it.
    """

    name: str
    training: Training
    weights: Weights
    facts: Mapping[str, Any]

    def module(self) -> BranchedNetwork:
        """The network itself."""
        scratch = self.weights is Weights.SCRATCH
        return self.training.build() if scratch else self.training.trained()


@dataclass(frozen=True)
class Handing:
    """How networks are handed out.

    Attributes:
        formats: See ``branchsearch.export.formats.GRAPHS``.
        fuse: Whether batch norms go into the convolutions before them, in these formats.
        tasks: Those to serve; empty for all.
        overwrite: Replace an earlier export.
    """

    formats: tuple[str, ...] = ()
    fuse: bool = False
    tasks: tuple[str, ...] = ()
    overwrite: bool = False


@dataclass(frozen=True)
class Wanted:
    """Which networks of a job are wanted: the chosen one, or what one of the first three says.

    Attributes:
        trial: A trial's number.
        tree: A tree's text.
        pareto: All on the front of gain and size.
        weights: Which weights; None for the best there are.

    Raises:
        ValueError: More than one of the first three says which.
    """

    trial: int | None = None
    tree: str | None = None
    pareto: bool = False
    weights: Weights | None = None

    def __post_init__(self) -> None:
        if (self.trial is not None) + (self.tree is not None) + self.pareto > 1:
            raise ValueError("name a trial, a tree or the front, not several")


def hand_out_wanted(
    trainings: Trainings, seen: Seen, wanted: Wanted, to: Path, how: Handing
) -> list[Path]:
    """Export the networks of a job that somebody asks for.

    Returns:
        The folders made: ``to``, or those in it for a front.

    Raises:
        NothingToExport: There is none.
        ProofFailed: As ``hand_out``.
        OSError: As ``hand_out``.
        ValueError: As ``hand_out``; or it is no tree of the space.
    """
    if wanted.pareto:
        return hand_out_all(on_front(trainings, seen, wanted.weights), seen, to, how)
    if wanted.tree is not None:
        network = of_tree(trainings, seen, wanted.tree, wanted.weights)
    elif wanted.trial is not None:
        network = of_trial(trainings, seen, wanted.trial, wanted.weights)
    else:
        network = chosen(trainings, seen, wanted.weights)
    return [hand_out(network, seen, to, how)]


def export_chosen(trainings: Trainings, seen: Seen, to: Path, *, overwrite: bool = False) -> Path:
    """Export the network that the confirmation chose.

    Raises:
        NothingToExport: The job is not that far.
        ProofFailed: The exported network is not the trained one; nothing appears at ``to``.
        OSError: It cannot be written; nothing appears at ``to``.
    """
    return hand_out(chosen(trainings, seen), seen, to, Handing(overwrite=overwrite))


def export_trial(
    trainings: Trainings, seen: Seen, number: int, to: Path, *, overwrite: bool = False
) -> Path:
    """Export the network of one complete trial.

    Raises:
        NothingToExport: There is no such trial, or it was not trained to its end.
        ProofFailed: As ``export_chosen``.
        OSError: As ``export_chosen``.
    """
    return hand_out(of_trial(trainings, seen, number), seen, to, Handing(overwrite=overwrite))


def chosen(trainings: Trainings, seen: Seen, weights: Weights | None = None) -> Network:
    """The network that the confirmation chose; its confirmed weights unless others are asked for.

    Raises:
        NothingToExport: The job is not that far, or has no such weights.
    """
    for entry in seen.confirmed():
        if entry["chosen"]:
            if weights in (None, Weights.CONFIRMED):
                return _confirmed(trainings, seen, entry, entry["exported_seed"])
            return _of_tree(trainings, seen, Tree.parse(entry["tree"]), choices_of(entry), weights)
    raise NothingToExport(f"job {seen.job.id} has confirmed no network yet; name a trial")


def of_trial(
    trainings: Trainings, seen: Seen, number: int, weights: Weights | None = None
) -> Network:
    """The network of a trial; as the trial trained it unless other weights are asked for.

    Raises:
        NothingToExport: There is no such trial, or no such weights of it.
    """
    trial = next((trial for trial in seen.trials() if trial.number == number), None)
    if trial is None:
        raise NothingToExport(f"job {seen.job.id} has no trial {number}")
    if weights not in (None, Weights.TRAINED):
        found = _of_tree(trainings, seen, trial.tree, trial.choices, weights)
    else:
        training = kept_training(trainings, seen, trial.tree, trial.choices)
        # a lost trial has the tree of one that came after it, and none of its metrics
        if training is None or trial.outcome != Outcome.COMPLETE:
            raise NothingToExport(_nothing_of(seen, trial))
        facts = {
            "metrics": {task: {"validation": value} for task, value in trial.metrics.items()},
            "measured_on": "validation",
            "delta": trial.delta,
            "limits": ["It was judged on the images that trees were chosen by, not on others."],
        }
        found = Network(str(trial.tree), training, Weights.TRAINED, facts)
    # whatever its weights, it is called after the trial
    return replace(found, name=f"trial {number}", facts={**found.facts, "trial": number})


def of_tree(trainings: Trainings, seen: Seen, text: str, weights: Weights | None = None) -> Network:
    """The network of a tree: confirmed, or else as a trial trained it, unless one is asked for.

    Raises:
        NothingToExport: There are no such weights of it.
        ValueError: It is no tree of the job's space.
    """
    tree = check_tree(seen.checked.space.space, text)
    if weights is not None:
        return _of_tree(trainings, seen, tree, None, weights)
    for candidate in (Weights.CONFIRMED, Weights.TRAINED):
        try:
            return _of_tree(trainings, seen, tree, None, candidate)
        except NothingToExport:
            continue
    raise NothingToExport(
        f"job {seen.job.id} has trained no {tree}; its untrained network has the weights 'scratch'"
    )


def on_front(trainings: Trainings, seen: Seen, weights: Weights | None = None) -> list[Network]:
    """The networks of the trials that no other beats in both Δ and size.

    Raises:
        NothingToExport: There is none, or one has no such weights.
    """
    numbers = [trial.number for trial in front(seen.findings())]
    if not numbers:
        raise NothingToExport(f"job {seen.job.id} has no complete trial yet")
    return [of_trial(trainings, seen, number, weights) for number in numbers]


def hand_out(network: Network, seen: Seen, to: Path, how: Handing) -> Path:
    """Export a network of a job.

    Raises:
        ProofFailed: The exported network is not the trained one; nothing appears at ``to``.
        OSError: It cannot be written; nothing appears at ``to``.
        ValueError: It has no such tasks, or there are no such formats.
    """
    training = served = network.training
    dataset = open_dataset(training.dataset, training.home)
    module = network.module()
    facts = dict(network.facts)
    if how.tasks:
        module = sliced(module, how.tasks)
    if module.tree != training.tree:
        served = replace(
            training,
            tasks=tuple(task for task in training.tasks if task.name in how.tasks),
            tree=module.tree,
        )
        facts |= {
            "metrics": {t: m for t, m in facts["metrics"].items() if t in how.tasks},
            "delta": None,  # a mean over tasks that are not all here
            "sliced_from": str(training.tree),
        }
    found = seen.findings().provenance
    provenance = {
        **{name: value for name, value in found.items() if name != "spec"},
        "spec hash": found.get("spec"),
        "spec": seen.job.spec,
        "job": seen.job.id,
        **({"trial": facts["trial"]} if "trial" in facts else {}),
        "tree": str(training.tree),
        "weights": str(network.weights),
        "seed": str(training.seed),
        "training": training.key,
    }
    name, arguments = training.balancing
    return export(
        to,
        network=module,
        tasks=served.tasks,
        size=seen.checked.space.collection.image_size,
        mean=dataset.mean,
        std=dataset.std,
        facts={**facts, "backbone": _named(training.backbone), "provenance": provenance},
        names={task.name: dataset.labels[task.name].names for task in served.tasks},
        learning=Learning(training.recipe.of(module.tree.tasks), name, arguments),
        formats=how.formats,
        fuse=how.fuse,
        calibration=calibration(dataset, served) if "onnx_int8" in how.formats else None,
        overwrite=how.overwrite,
    )


def hand_out_all(networks: Sequence[Network], seen: Seen, to: Path, how: Handing) -> list[Path]:
    """Export several networks into one folder, each into one of its own; all or none.

    With ``how.overwrite`` earlier exports of the same names give way when all are proven. Whatever
    else is in ``to`` stays.

    Raises:
        FolderExists: Something is at ``to``, or in it, that may not be replaced.
        ProofFailed: As ``hand_out``.
        OSError: As ``hand_out``.
    """
    places = [to / network.name.replace(" ", "_") for network in networks]
    if not os.path.lexists(to):
        with parents_of(to), TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as name:
            work = Path(name) / to.name
            work.mkdir()
            _hand_out_into(work, networks, places, seen, how)
            check_free(to, overwrite=False)  # the proofs took a while
            work.rename(to)
        return places
    if not how.overwrite or not to.is_dir() or (to / "model.json").exists():
        raise FolderExists(
            f"{to} exists; several networks are exported into a new folder, or, when overwriting "
            "is asked for, into one that is no exported network itself"
        )
    for place in places:
        check_free(place, overwrite=True)
    with TemporaryDirectory(prefix=".branchsearch-front-", dir=to) as name:
        work = Path(name)
        _hand_out_into(work, networks, places, seen, how)
        for place in places:
            with aside(place, work / f"{place.name}-replaced", overwrite=True):
                (work / place.name).rename(place)
    return places


def _hand_out_into(
    work: Path, networks: Sequence[Network], places: Sequence[Path], seen: Seen, how: Handing
) -> None:
    for network, place in zip(networks, places, strict=True):
        hand_out(network, seen, work / place.name, replace(how, overwrite=False))


def _of_tree(
    trainings: Trainings, seen: Seen, tree: Tree, choices: Choices | None, weights: Weights | None
) -> Network:
    """The network of a tree with what was chosen beside it; None takes the best such."""
    if weights is Weights.SCRATCH:
        training = trainings.of_trial(tree, choices or ())
        facts = {
            "metrics": {},
            "limits": ["It is not trained: its weights are those that a training starts from."],
        }
        return Network(f"{tree}, untrained", training, Weights.SCRATCH, facts)
    if weights is Weights.CONFIRMED:
        entries = [
            entry
            for entry in seen.confirmed()[1:]  # the first are the single-task networks
            if Tree.parse(entry["tree"]) == tree and choices in (None, choices_of(entry))
        ]
        if not entries:
            raise NothingToExport(f"job {seen.job.id} has not confirmed {tree}")
        entry = max(entries, key=lambda entry: fmean(entry["validation_deltas"]))
        deltas = entry["validation_deltas"]
        best = trainings.confirmation_seeds[deltas.index(max(deltas))]
        return _confirmed(trainings, seen, entry, best)
    trials = [
        trial
        for trial in seen.trials()
        if trial.tree == tree
        and trial.outcome == Outcome.COMPLETE
        and choices in (None, tuple(trial.choices))
    ]
    if not trials:
        raise NothingToExport(f"job {seen.job.id} has trained no {tree} to its end")
    return of_trial(trainings, seen, max(trials, key=gained).number)


def _nothing_of(seen: Seen, trial: TrialResult) -> str:
    """Why a trial has no network."""
    another = _found_by(seen, trial.tree, trial.choices)
    return f"trial {trial.number} is {trial.outcome}: no trained network is kept of it" + (
        f"; trial {another} has trained its tree" if another not in (None, trial.number) else ""
    )


def _confirmed(trainings: Trainings, seen: Seen, entry: Mapping[str, Any], seed: int) -> Network:
    tree, choices, seeds = (
        Tree.parse(entry["tree"]),
        choices_of(entry),
        trainings.confirmation_seeds,
    )
    trial = _found_by(seen, tree, choices)
    training = kept_training(trainings, seen, tree, choices, seed=seed)
    if training is None:
        raise NothingToExport(
            f"no trained network is kept of the confirmation of {tree} with seed {seed}"
        )
    facts = {
        "metrics": {
            task: {
                **_mean_and_spread(values),
                **{f"seed {one}": value for one, value in zip(seeds, values, strict=True)},
            }
            for task, values in entry["test"].items()
        },
        "delta": entry["deltas"],
        "measured_on": "test",
        "seeds": seeds,
        **({"choices": dict(choices)} if choices else {}),
        **({} if trial is None else {"trial": trial}),
    }
    return Network(entry["name"], training, Weights.CONFIRMED, facts)


def _mean_and_spread(values: Sequence[float]) -> dict[str, float]:
    """As facts have them; one number has no spread."""
    mean, spread = mean_and_spread(values)
    return {"mean": mean, "spread": spread} if len(values) > 1 else {"mean": mean}


def _found_by(seen: Seen, tree: Tree, choices: Choices) -> int | None:
    """The trial that trained a tree to its end; None of one that the search did not try."""
    for trial in seen.trials():
        if (trial.outcome, trial.tree, trial.choices) == (Outcome.COMPLETE, tree, choices):
            return trial.number
    return None


def _named(component: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    name, arguments = component
    return {"name": name, "args": dict(arguments)}
