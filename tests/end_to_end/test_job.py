"""One whole job, looked at from every side."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import numpy as np
import optuna_dashboard
import pytest
from optuna.trial import TrialState

import branchsearch
from branchsearch.drawing.text import text
from branchsearch.jobs.check import check_job
from branchsearch.jobs.home import Home
from branchsearch.jobs.pipeline import Result
from branchsearch.jobs.trainings import Trainings
from branchsearch.space.criterion import ranking
from branchsearch.space.extremes import extremes
from branchsearch.train.scores import delta
from branchsearch.tree import Tree
from tests.specs import tiny

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def trials(home: Path, result: Result) -> list[Any]:
    return Home(home).study(result.job).trials


def test_the_job_succeeds_and_says_why_it_ended(result: Result):
    assert (result.job.state, result.job.reason) == ("succeeded", "BUDGET_EXHAUSTED")
    assert len(result.deltas) == 2


def test_the_budget_of_trials_is_met_exactly(home: Path, result: Result):
    states = [trial.state for trial in trials(home, result)]
    assert sum(state in (TrialState.COMPLETE, TrialState.PRUNED) for state in states) == 5
    assert TrialState.RUNNING not in states


def test_no_tree_is_trained_twice_and_both_extremes_are_tried(home: Path, result: Result):
    trees = [trial.user_attrs["tree"] for trial in trials(home, result)]
    assert len(trees) == len(set(trees))
    names = ["depth", "normals", "seg"]
    assert {str(Tree.share_all(names, 2)), str(Tree.share_none(names, 2))} <= set(trees)


def test_a_trial_carries_what_it_measured(home: Path, result: Result):
    checked = check_job(tiny())
    references = {}
    for task in checked.space.tasks:
        trainings = Trainings(checked, home)
        alone = trainings.of_trial(trainings.alone(task.name)).result()
        references[task.name] = alone["metrics"][task.name]
    complete = [t for t in trials(home, result) if t.state is TrialState.COMPLETE]
    assert complete
    for trial in complete:
        known = trial.user_attrs
        metrics = {task.name: known[f"task/{task.name}"] for task in checked.space.tasks}
        assert trial.value == known["delta"] == delta(checked.space.tasks, metrics, references)
        cost = checked.space.costs.of(Tree.parse(known["tree"]))
        assert (known["parameters"], known["multiply_adds"]) == (
            cost.parameters,
            cost.multiply_adds,
        )
        assert known["seconds"] > 0
        assert list(trial.intermediate_values.values()) == known["curve"]


def test_affinity_is_measured_at_every_stage(home: Path, result: Result):
    with np.load(home / "jobs" / result.job.id / "affinity.npz") as kept:
        assert kept["tasks"].tolist() == ["depth", "normals", "seg"]
        affinity = kept["affinity"]
    assert affinity.shape == (2, 3, 3)
    np.testing.assert_allclose(affinity, affinity.transpose(0, 2, 1))
    np.testing.assert_allclose(affinity[:, range(3), range(3)], 1)


def test_the_chosen_network_is_the_best_on_validation(home: Path, result: Result):
    entries = json.loads((home / "jobs" / result.job.id / "confirmed.json").read_text())
    candidates = entries[1:]  # the first are the single-task networks
    best = max(candidates, key=lambda entry: np.mean(entry["validation_deltas"]))
    assert best["chosen"]
    assert best["tree"] == str(result.tree)
    assert tuple(best["deltas"]) == result.deltas
    assert np.mean(entries[0]["deltas"]) == pytest.approx(0, abs=1e-9)


def test_the_export_runs_where_there_is_no_branchsearch(result: Result):
    program = (
        "import sys; sys.modules['branchsearch'] = None\n"
        f"sys.path.insert(0, {str(result.export)!r})\n"
        "import torch; from model import load, prepare\n"
        "images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)\n"
        "print(sorted((task, tuple(p.shape)) for task, p in load()(prepare(images)).items()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "('seg', (2, 4, 16, 16))" in ran.stdout


def test_the_report_is_one_file_with_everything_in_it(result: Result):
    page = result.report.read_text()
    assert str(result.job.id) in page
    assert "<svg" in page
    assert "src=" not in page.replace("srcset", "").split("<script")[0]


def test_note_and_figures_stand_in_the_study(home: Path, result: Result):
    storage = Home(home).store.optuna_storage()
    study = Home(home).study(result.job)
    application = optuna_dashboard.wsgi(storage)
    status: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": f"/api/studies/{study._study_id}"}
    setup_testing_defaults(environ)
    body = b"".join(application(environ, lambda code, *_: status.append(code)))
    told = json.loads(body)
    assert status == ["200 OK"]
    assert text(result.tree) in told["note"]["body"]
    assert {graph["id"] for graph in told["plotly_graph_objects"]} == {"affinity", "pareto", "tree"}


def test_a_finished_job_is_shown_again_and_trains_nothing(home: Path, result: Result):
    before = len(trials(home, result))
    began = time.process_time()
    assert branchsearch.run(tiny(), home=home) == result
    assert time.process_time() - began < 5
    assert len(trials(home, result)) == before


def test_another_sampler_takes_over_what_is_trained(home: Path, result: Result):
    """The ranked sampler follows the criterion; baselines and known trees come from the cache."""
    spec = tiny(sampler={"name": "ranked"}, fidelity={"scheduler": "none"})
    other = branchsearch.run(spec, home=home)
    assert other.job.id != result.job.id
    checked = check_job(spec)
    with np.load(home / "jobs" / other.job.id / "affinity.npz") as kept:
        order = ranking(checked.space.space, kept["affinity"])
    shared, separate = extremes(checked.space.space)
    expected = [tree for tree in order if tree not in (shared, separate)][:3]
    trained = [Tree.parse(trial.user_attrs["tree"]) for trial in trials(home, other)]
    assert trained[:2] == [shared, separate]
    assert set(trained[2:]) == set(expected)
