"""The commands that look on, on jobs whose studies are written down; nothing is trained."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner, Result

from branchsearch.cli.main import app, exit_code
from branchsearch.jobs import log
from branchsearch.jobs.home import Home
from branchsearch.jobs.job import Job, JobState
from branchsearch.jobs.reading import read_job
from branchsearch.jobs.standing import CONFIRMED, standing
from branchsearch.search.parameters import distributions, params_of
from branchsearch.tree import Tree
from tests.specs import checked, tiny

SHARED = Tree.parse("depth+normals+seg > depth+normals+seg")
PARTED = Tree.parse("depth+normals+seg > depth+normals,seg")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def job(home: Home) -> Job:
    """A job that has two trials; another one trains."""
    job, space = home.store.submit(read_job(tiny())), checked().space.space
    study = home.study(job)
    for tree, state, known in (
        (SHARED, TrialState.COMPLETE, {"outcome": "complete", "delta": 1.5}),
        (PARTED, TrialState.PRUNED, {"outcome": "stopped", "delta": 9.0}),
        (PARTED, TrialState.RUNNING, {}),
    ):
        study.add_trial(
            create_trial(
                state=state,
                params=params_of(space, tree),
                distributions=dict(distributions(space)),
                values=[1.5] if state is TrialState.COMPLETE else None,
                user_attrs=known,
            )
        )
    return job


def confirm(home: Home, job: Job, *deltas: float) -> None:
    entries = [
        {
            "name": str(tree),
            "tree": str(tree),
            "test": {},
            "deltas": deltas,
            "parameters": 1,
            "multiply_adds": 1,
            "chosen": tree is PARTED,
        }
        for tree in (SHARED, PARTED)
    ]
    home.folder(job).mkdir(parents=True, exist_ok=True)
    (home.folder(job) / CONFIRMED).write_text(json.dumps(entries))


def program(home: Home, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--home", str(home.root)])


def answer(home: Home, *arguments: str) -> Any:  # noqa: ANN401  # any JSON
    ran = program(home, *arguments, "--output", "json")
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def imported(home: Home, arguments: Sequence[str], modules: set[str]) -> set[str]:
    """Which of these modules a fresh process has imported when the program ends."""
    program_text = (
        "import sys; from branchsearch.cli.main import main\n"
        f"sys.argv = {['branchsearch', *arguments, '--home', str(home.root)]}\n"
        "try:\n    main()\n"
        f"finally:\n    print(sorted({modules} & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program_text], capture_output=True, text=True)
    return set(json.loads(ran.stderr.splitlines()[-1].replace("'", '"')))


@pytest.mark.parametrize(
    "arguments", [["list"], ["show", "last"], ["show", "job_nowhere"], ["logs", "last"]]
)
def test_a_look_at_what_is_stored_imports_nothing_that_trains(
    home: Home, job: Job, arguments: list[str]
):
    log.write(log.job_log(home.folder(job)), "step", step="search")
    assert not imported(home, arguments, {"torch", "ray", "optuna_dashboard", "plotly"})


@pytest.mark.parametrize("command", ["trials", "best"])
def test_a_look_at_trees_imports_nothing_that_runs_trainings(home: Home, job: Job, command: str):
    assert not imported(home, [command, job.id], {"ray", "optuna_dashboard", "plotly"})


def test_trials_stand_as_the_study_says(home: Home, job: Job):
    stands = standing(home.study(job), 5)
    assert (stands.total, stands.done, stands.stopped, stands.running) == (5, 1, 1, 1)
    assert (stands.failed, stands.best) == (0, 1.5)  # of those trained to their end


@pytest.mark.parametrize("stored", [JobState.QUEUED, JobState.RUNNING])
def test_a_job_that_no_process_drives_is_interrupted(home: Home, job: Job, stored: JobState):
    if stored is JobState.RUNNING:  # as one whose process was killed
        home.store.move(job.id, JobState.RUNNING)
    (listed,) = answer(home, "list")
    shown = answer(home, "show", job.id)
    assert listed["state"] == shown["state"] == "interrupted"
    assert shown["trials"]["running"] == 0
    assert "`branchsearch run` with the same file goes on" in shown["message"]
    assert [row["outcome"] for row in answer(home, "trials", job.id)][-1] == "lost"
    assert home.store.get(job.id).state is stored


def test_a_job_that_a_process_drives_is_what_is_stored(home: Home, job: Job):
    home.store.move(job.id, JobState.RUNNING)
    with home.driving(job):
        shown = answer(home, "show", job.id)
        assert (shown["state"], shown["trials"]["running"]) == ("running", 1)
        assert shown["message"] is None
        assert [row["outcome"] for row in answer(home, "trials", job.id)][-1] == "running"
        assert answer(home, "list")[0]["state"] == "running"


def test_what_has_ended_is_not_interrupted(home: Home, job: Job):
    home.store.move(job.id, JobState.RUNNING)
    home.store.move(job.id, JobState.FAILED, reason="INTERNAL", message="why")
    shown = answer(home, "show", job.id)
    assert (shown["state"], shown["message"]) == ("failed", "why")
    assert shown["trials"]["running"] == 0


def test_gains_are_shown_with_the_part_they_are_of(home: Home, job: Job):
    def shown() -> dict[str, str]:
        lines = program(home, "show", job.id).stdout.splitlines()
        return dict(line.strip().split("  ", 1) for line in lines if "  " in line.strip())

    before = shown()
    assert before["best delta on validation"].strip() == "+1.50 %"
    assert "chosen tree" not in before
    confirm(home, job, 1.0, 3.0)
    after = shown()
    assert after["chosen tree"].strip() == str(PARTED)
    assert after["delta on test"].strip() == "+2.00 ± 1.41 % (2 seeds)"
    assert "+2.00 ± 1.41 % (2 seeds)" in program(home, "best", job.id).stdout
    told = answer(home, "show", job.id)
    assert told["best_delta_percent"] == 1.5
    assert told["chosen"] == {"tree": str(PARTED), "test_delta_percent": [1.0, 3.0]}


def test_raised_limits_are_the_budget(home: Home, job: Job):
    home.store.extend(job.id, {"max_trials": 9})
    shown = answer(home, "show", job.id)
    assert shown["trials"]["asked"] == shown["budget"]["max_trials"] == 9
    assert "max_seconds" not in shown["budget"]


def test_no_jobs_are_said_to_be_none(home: Home):
    ran = program(home, "list")
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert ran.stderr == f"no jobs; there is no home at {home.root}\n"
    assert answer(home, "list") == []
    assert not home.root.exists()
    assert home.store.newest_first() == []  # makes the home
    assert program(home, "list").stderr == f"no jobs in {home.root}\n"


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_id_names_no_job(home: Home, text: str):
    for command in ("show", "trials", "logs"):
        ran = program(home, command, text)
        assert ran.exit_code == 2
        assert "it is empty" in ran.stderr


def test_a_trial_that_there_is_not_has_no_log(home: Home, job: Job):
    ran = program(home, "logs", job.id, "--trial", "99")
    assert isinstance(ran.exception, Exception)
    assert (str(ran.exception), exit_code(ran.exception)) == (f"job {job.id} has no trial 99", 3)
    of_another = program(home, "logs", job.id, "--trial", "1")
    assert str(of_another.exception) == f"nothing is logged of trial 1 of job {job.id}"


def test_numbers_in_logs_are_rounded_for_people_alone(home: Home, job: Job):
    facts: dict[str, Any] = {"epoch": 1, "metrics": {"depth": 0.2587335705757141}, "last": False}
    log.write(log.job_log(home.folder(job)), "epoch", **facts)
    (line,) = program(home, "logs", job.id).stdout.splitlines()
    assert line.endswith(" epoch epoch=1 metrics=(depth 0.2587) last=no")
    (event,) = answer(home, "logs", job.id)
    assert event["metrics"] == facts["metrics"]
