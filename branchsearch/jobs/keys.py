"""Under which keys a job's networks are kept.

A key is a hash of all that decides a training: code, data, recipe. A job notes its keys, so that
its networks are found by a newer version, too, and when files of the data set were touched.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from branchsearch.files import write_whole
from branchsearch.jobs.gather import Seen
from branchsearch.jobs.training import Training
from branchsearch.jobs.trainings import Trainings
from branchsearch.search.outcome import Outcome
from branchsearch.search.tuned import Choices
from branchsearch.tree import Tree

#: The file in a job's folder.
KEYS = "trainings.json"


def note_keys(trainings: Trainings, seen: Seen) -> None:
    """Note the trainings of a job that are kept by now."""
    keys = _noted(seen)
    for trial in seen.trials():
        if trial.outcome == Outcome.COMPLETE:  # told once, of the first that was kept
            training = trainings.of_trial(trial.tree, trial.choices)
            if training.kept() is not None:
                keys.setdefault(_name(trial.tree, trial.choices, None), training.key)
    for entry in seen.confirmed()[1:]:  # the first are the single-task networks
        tree, choices = Tree.parse(entry["tree"]), choices_of(entry)
        for seed in trainings.confirmation_seeds:
            training = trainings.of_confirmation(tree, seed, choices)
            if training.kept() is not None:  # else told of what was kept before
                keys[_name(tree, choices, seed)] = training.key
    write_whole(seen.folder / KEYS, json.dumps(keys, indent=1))


def kept_training(
    trainings: Trainings, seen: Seen, tree: Tree, choices: Choices, *, seed: int | None = None
) -> Training | None:
    """A training of a job of which the network is kept, or None.

    Args:
        trainings: Of the job.
        seen: The job.
        tree: Which.
        choices: What was tuned beside it.
        seed: Of the confirmation; None for the search's.
    """
    training = (
        trainings.of_trial(tree, choices)
        if seed is None
        else trainings.of_confirmation(tree, seed, choices)
    )
    training = replace(training, kept_as=_noted(seen).get(_name(tree, choices, seed), ""))
    return None if training.kept() is None else training


def choices_of(entry: Mapping[str, Any]) -> Choices:
    """What was tuned beside the tree of a confirmed network."""
    return tuple(sorted(entry.get("choices", {}).items()))


def _noted(seen: Seen) -> dict[str, str]:
    path = seen.folder / KEYS
    keys: dict[str, str] = json.loads(path.read_text()) if path.is_file() else {}
    return keys


def _name(tree: Tree, choices: Choices, seed: int | None) -> str:
    return json.dumps([str(tree), dict(choices), seed], sort_keys=True)
