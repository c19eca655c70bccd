"""What a job hands out, of a study and a confirmation that are written down; nothing is trained."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial

from branchsearch.export.folder import FILES, FolderExists
from branchsearch.export.proof import ProofFailed
from branchsearch.jobs import check, handing
from branchsearch.jobs.gather import Seen
from branchsearch.jobs.handing import (
    Handing,
    NothingToExport,
    Wanted,
    Weights,
    chosen,
    hand_out_wanted,
    of_tree,
    of_trial,
)
from branchsearch.jobs.home import Home
from branchsearch.jobs.keys import KEYS, note_keys
from branchsearch.jobs.pipeline import seen as looked_at
from branchsearch.jobs.standing import CONFIRMED
from branchsearch.jobs.training import Training
from branchsearch.jobs.trainings import Trainings
from branchsearch.model.branched import BranchedNetwork
from branchsearch.search.parameters import distributions, params_of
from branchsearch.tree import Tree
from tests.specs import checked

TASKS = ("depth", "normals", "seg")
SHARED = Tree.parse("depth+normals+seg > depth+normals+seg")
PARTED = Tree.parse("depth+normals+seg > depth+normals,seg")
SEPARATE = Tree.parse("depth,normals,seg > depth,normals,seg")


def entry(name: str, tree: Tree, **others: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """A network that was trained fully with two seeds, the first of them better."""
    return {
        "name": name,
        "tree": str(tree),
        "choices": {},
        "test": {task: [0.5, 0.25] for task in TASKS},
        "deltas": [1.0, 3.0],
        "validation_deltas": [2.0, 1.0],
        "parameters": 1,
        "multiply_adds": 1,
        "chosen": False,
        **others,
    }


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    """Three trials, of which the second was stopped and the last two tried the chosen tree."""
    job = checked(reproducibility={"seed": 7})
    home = Home(tmp_path / "home")
    found = looked_at(home, home.store.submit(job.spec), job)
    space = job.space.space
    for tree, outcome, delta in (
        (SHARED, "complete", 1.0),
        (PARTED, "stopped", 9.0),
        (PARTED, "complete", 2.0),
    ):
        metrics = {f"task/{task}": 0.5 for task in TASKS}
        found.study.add_trial(
            create_trial(
                params=params_of(space, tree),
                distributions=dict(distributions(space)),
                values=[delta] * len(found.study.directions),
                user_attrs={"outcome": outcome, "delta": delta, **metrics},
            )
        )
    entries = [
        entry("single-task networks", SEPARATE),
        entry(str(PARTED), PARTED, chosen=True, exported_seed=8),
    ]
    found.folder.mkdir(parents=True, exist_ok=True)
    (found.folder / CONFIRMED).write_text(json.dumps(entries))
    trainings = Trainings(job, home.root)
    for tree in (SHARED, PARTED):
        keep(trainings.of_trial(tree))
    for seed, tree in product((8, 9), (PARTED, SEPARATE)):
        keep(trainings.of_confirmation(tree, seed))
    return found


def keep(training: Training) -> None:
    """Make believe that a training is done."""
    training.folder.mkdir(parents=True)
    (training.folder / "result.json").write_text("{}")


@pytest.fixture
def trainings(seen: Seen, tmp_path: Path) -> Trainings:
    return Trainings(seen.checked, tmp_path / "home")


def test_each_seed_of_a_confirmed_network_is_called_by_its_number(seen: Seen, trainings: Trainings):
    network = chosen(trainings, seen)
    assert (network.training.seed, network.facts["seeds"]) == (8, [8, 9])
    (measured, *_) = network.facts["metrics"].values()
    assert measured == {
        "mean": 0.375,
        "spread": pytest.approx(0.1768, abs=1e-4),
        "seed 8": 0.5,
        "seed 9": 0.25,
    }


def test_a_confirmed_network_says_which_trial_found_it_if_one_has(seen: Seen, trainings: Trainings):
    assert chosen(trainings, seen).facts["trial"] == 2
    assert of_tree(trainings, seen, str(PARTED)).facts["trial"] == 2
    (seen.folder / CONFIRMED).write_text(
        json.dumps([entry("", SEPARATE, chosen=True, exported_seed=8)])
    )
    assert "trial" not in chosen(trainings, seen).facts


def test_what_an_earlier_version_has_trained_is_handed_out(
    seen: Seen, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
):
    asked = (
        lambda: chosen(trainings, seen),
        lambda: of_trial(trainings, seen, 2),
        lambda: of_tree(trainings, seen, str(SHARED)),
    )
    before = [network().training.folder for network in asked]
    note_keys(trainings, seen)
    monkeypatch.setattr(check, "code_version", lambda: "2.0+new")
    assert [network().training.folder for network in asked] == before
    note_keys(trainings, seen)  # the job goes on, and has trained nothing new
    assert [network().training.folder for network in asked] == before
    (seen.folder / KEYS).unlink()
    with pytest.raises(NothingToExport, match="no trained network is kept of the confirmation"):
        chosen(trainings, seen)


@pytest.mark.parametrize("outcome", ["lost", "repeat", "stopped"])
def test_of_trials_that_have_the_tree_of_another_no_network_is_handed_out(
    outcome: str, seen: Seen, trainings: Trainings
):
    trial = seen.study.get_trials()[2]
    attributes = {"outcome": outcome}
    seen.study.add_trial(
        create_trial(
            params=trial.params,
            distributions=trial.distributions,
            state=TrialState.FAIL,
            user_attrs=attributes,
        )
    )
    with pytest.raises(
        NothingToExport,
        match=rf"trial 3 is {outcome}: no trained network is kept of it; trial 2 has trained its",
    ):
        of_trial(trainings, seen, 3)


def test_a_single_seed_has_no_spread(trainings: Trainings, seen: Seen):
    test = {task: [0.5] for task in TASKS}
    alone = entry(str(PARTED), PARTED, chosen=True, exported_seed=8, test=test, deltas=[1.0])
    (seen.folder / CONFIRMED).write_text(json.dumps([entry("", SEPARATE), alone]))
    one = replace(trainings, checked=checked(reproducibility={"seed": 7}, confirm={"seeds": 1}))
    keep(one.of_confirmation(PARTED, 8))
    assert chosen(one, seen).facts["metrics"]["seg"] == {"mean": 0.5, "seed 8": 0.5}


@pytest.mark.parametrize(
    "several",
    [
        {"trial": 0, "tree": str(PARTED)},
        {"trial": 0, "pareto": True},
        {"tree": str(PARTED), "pareto": True},
    ],
)
def test_several_ways_to_say_which_network_are_refused(several: dict[str, Any]):
    with pytest.raises(ValueError, match="not several"):
        Wanted(**several, weights=Weights.SCRATCH)


class Unproven:
    """Writes a folder that looks like an export, and at its end fails where it is told to."""

    def __init__(self) -> None:
        self.fails_at: Tree | None = None

    def __call__(self, to: Path, *, network: BranchedNetwork, **_: object) -> Path:
        if network.tree == self.fails_at:
            raise ProofFailed("it is another")
        to.mkdir(parents=True)
        for name in FILES:
            (to / name).write_text(str(network.tree))
        return to


def test_a_front_whose_place_is_taken_meanwhile_is_refused(
    seen: Seen, trainings: Trainings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    to, export = tmp_path / "above" / "front", Unproven()

    def slow(place: Path, **others: Any) -> Path:  # noqa: ANN401  # as the real one
        to.mkdir(exist_ok=True)
        return export(place, **others)

    monkeypatch.setattr(handing, "export", slow)
    wanted = Wanted(pareto=True, weights=Weights.SCRATCH)
    with pytest.raises(FolderExists, match="front exists"):
        hand_out_wanted(trainings, seen, wanted, to, Handing())
    assert list(to.iterdir()) == []
    assert list(to.parent.iterdir()) == [to]


def test_all_tasks_are_no_part_of_the_tasks(
    seen: Seen, trainings: Trainings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    facts: dict[str, Any] = {}

    def noted(to: Path, **others: Any) -> Path:  # noqa: ANN401  # as the real one
        facts.update(others["facts"])
        return to

    monkeypatch.setattr(handing, "export", noted)
    wanted = Wanted(trial=2, weights=Weights.SCRATCH)
    hand_out_wanted(trainings, seen, wanted, tmp_path / "net", Handing(tasks=TASKS[::-1]))
    assert "sliced_from" not in facts
    hand_out_wanted(trainings, seen, wanted, tmp_path / "net", Handing(tasks=TASKS[:2]))
    assert facts["sliced_from"] == str(PARTED)


def test_a_front_takes_the_place_of_an_earlier_one_folder_by_folder(
    seen: Seen, trainings: Trainings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    export = Unproven()
    monkeypatch.setattr(handing, "export", export)

    def handed(to: Path, *, overwrite: bool) -> list[Path]:
        wanted = Wanted(pareto=True, weights=Weights.SCRATCH)
        return hand_out_wanted(trainings, seen, wanted, to, Handing(overwrite=overwrite))

    to = tmp_path / "front"
    made = handed(to, overwrite=True)
    assert made == [to / "trial_0", to / "trial_2"]
    (to / "notes.txt").write_text("mine")
    for folder in made:
        (folder / "tree.txt").write_text("earlier")
    with pytest.raises(FolderExists, match="front exists"):
        handed(to, overwrite=False)
    with pytest.raises(FolderExists, match="no exported network itself"):
        handed(made[0], overwrite=True)
    export.fails_at = PARTED
    with pytest.raises(ProofFailed):
        handed(to, overwrite=True)
    assert [(folder / "tree.txt").read_text() for folder in made] == ["earlier"] * 2
    export.fails_at = None
    assert handed(to, overwrite=True) == made
    assert [(folder / "tree.txt").read_text() for folder in made] == [str(SHARED), str(PARTED)]
    assert {path.name for path in to.iterdir()} == {"trial_0", "trial_2", "notes.txt"}
    (made[1] / "notes.txt").write_text("mine")
    with pytest.raises(FolderExists, match="also holds"):
        handed(to, overwrite=True)
