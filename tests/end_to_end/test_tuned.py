"""A job that tunes more than the tree, from its search to what is exported."""

import json
from pathlib import Path

import pytest

import branchsearch
from branchsearch.jobs.check import check_job
from branchsearch.jobs.home import Home
from branchsearch.jobs.pipeline import Result, seen
from branchsearch.jobs.trainings import Trainings
from branchsearch.search.tuned import as_text
from tests.end_to_end.test_cli import answer, program
from tests.specs import tiny

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]

SPEC = tiny(
    sampler={"name": "evolution", "args": {"population": 3, "tournament": 2}},
    fidelity={"scheduler": "none"},
    tuned={
        "trial.learning_rate": {"low": 0.001, "high": 0.03, "log": True},
        "space.backbone.args.channels": {"choices": [[4, 6], [6, 8]]},
        "weights.seg": {"low": 0.5, "high": 2},
    },
    budget={"max_trials": 6},
    confirm={"trees": 2, "epochs": 2, "seeds": 1},
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def result(home: Path) -> Result:
    return branchsearch.run(SPEC, home=home)


def test_trials_are_trees_with_choices(home: Path, result: Result):
    at = seen(Home(home), result.job)
    trials = at.trials()
    assert len({(trial.tree, trial.choices) for trial in trials}) == len(trials) == 6
    assert len({trial.choices for trial in trials}) > 2
    trainings = Trainings(check_job(SPEC), home)
    for trial in trials:
        kept = trainings.of_trial(trial.tree, trial.choices)
        assert kept.result()["metrics"] == trial.metrics
        parameters = sum(weight.numel() for weight in kept.trained().parameters())
        assert parameters == trial.parameters


def test_what_is_exported_has_the_choices_of_its_trial(home: Path, result: Result):
    at = seen(Home(home), result.job)
    chosen = next(network for network in at.findings().confirmed if network.chosen)
    facts = json.loads((result.export / "model.json").read_text())
    assert facts.get("choices", {}) == dict(chosen.choices)
    promised = facts["cost"]["parameters"] if "cost" in facts else chosen.parameters
    assert promised == chosen.parameters
    tried = {(trial.tree, trial.choices) for trial in at.trials()}
    confirmed = [n for n in at.findings().confirmed if n.choices]
    assert confirmed
    assert all((network.tree, network.choices) in tried for network in confirmed)


def test_the_report_names_the_choices(home: Path, result: Result):
    page = result.report.read_text()
    for trial in seen(Home(home), result.job).trials():
        assert as_text(trial.choices).split(", ")[0] in page


def test_the_commands_name_the_choices(home: Path, result: Result):
    rows = answer("trials", result.job.id, "--home", home)
    trials = seen(Home(home), result.job).trials()
    assert [row["choices"] for row in rows] == [dict(trial.choices) for trial in trials]
    table = program("trials", result.job.id, "--home", home).stdout
    assert all(path.split(".")[0] in table for path in SPEC["tuned"])
    front = answer("best", result.job.id, "--home", home)["front"]
    assert all(row["choices"] in [dict(trial.choices) for trial in trials] for row in front)
