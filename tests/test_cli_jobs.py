"""The commands that run things, on a job that has run; nothing is trained."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from branchsearch.cli.main import app, exit_code
from branchsearch.jobs.home import Home
from branchsearch.jobs.job import JobState
from branchsearch.jobs.reading import read_job
from branchsearch.jobs.standing import CONFIRMED
from tests.specs import tiny

TREE = "depth+normals+seg > depth+normals,seg"


def program(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def written(path: Path, content: Any) -> Path:  # noqa: ANN401
    with path.open("w") as file:
        YAML().dump(content, file)
    return path


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return written(tmp_path / "job.yaml", tiny(metadata={"name": "a name [red] in brackets"}))


@pytest.fixture
def home(spec: Path, tmp_path: Path) -> Path:
    """Where the job has succeeded."""
    home = Home(tmp_path / "home")
    job = home.store.submit(read_job(spec))
    home.store.move(job.id, JobState.RUNNING)
    home.store.move(job.id, JobState.SUCCEEDED, reason="BUDGET_EXHAUSTED", message="all trained")
    chosen = {
        "name": TREE,
        "tree": TREE,
        "test": {},
        "deltas": [11.857, 4.556],
        "parameters": 1,
        "multiply_adds": 1,
        "chosen": True,
    }
    home.folder(job).mkdir(parents=True)
    (home.folder(job) / CONFIRMED).write_text(json.dumps([chosen]))
    return home.root


def test_a_gain_is_one_line_for_people_and_every_seeds_for_programs(home: Path, spec: Path):
    (line,) = re.findall(r"^delta.*$", program("run", spec, "--home", home).stdout, re.M)
    assert line.split("  ", 1)[1].strip() == "+8.21 ± 5.16 % (2 seeds)"
    told = json.loads(program("run", spec, "--home", home, "--output", "json").stdout)
    assert told["delta_percent"] == [11.857, 4.556]


def test_what_a_run_will_take_is_one_line_with_a_time(home: Path, spec: Path):
    step, planned = program("run", spec, "--home", home).stderr.splitlines()
    assert step == "step 1/7: plan"
    assert planned.startswith("a name [red] in brackets: 12 trees, ")
    assert re.search(
        r"about [1-9]\d* (s|min) of training; start and export are not counted$", planned
    )


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_gpus_that_are_not_here_are_a_warning_before_a_run(tmp_path: Path, command: str):
    spec = written(tmp_path / "job.yaml", tiny(resources={"num_gpus": 64}))
    ran = program(command, spec, "--output", "json")
    assert (ran.exit_code, bool(json.loads(ran.stdout))) == (0, True)
    assert re.search(r"warning: .*job.yaml:\d+: resources.num_gpus: .* 64 GPUs", ran.stderr)


def test_gpus_that_are_not_here_end_a_run_before_it_writes(tmp_path: Path):
    spec = written(tmp_path / "job.yaml", tiny(resources={"num_gpus": 64}))
    ran = program("run", spec, "--home", tmp_path / "home")
    assert isinstance(ran.exception, Exception)
    assert exit_code(ran.exception) == 2
    assert re.match(r".*job.yaml:\d+: resources.num_gpus: .* 64 GPUs", str(ran.exception))
    assert list(tmp_path.iterdir()) == [spec]


def test_gpus_that_are_not_here_raise_no_budget(tmp_path: Path):
    home = Home(tmp_path)
    job = home.store.submit(read_job(tiny(resources={"num_gpus": 64})))
    ran = program("extend", job.id, "--max-trials", "9", "--home", tmp_path)
    assert isinstance(ran.exception, Exception)
    assert exit_code(ran.exception) == 2
    assert home.store.get(job.id).extension == {}


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_a_search_space_is_no_job(tmp_path: Path, command: str):
    space = written(tmp_path / "space.yaml", tiny()["space"])
    message = str(program(command, space).exception)
    assert message.startswith(f"{space}: this is a search space, and what is asked for is a job")
    assert "\n" not in message


def test_a_job_is_no_search_space(tmp_path: Path):
    job = written(tmp_path / "job.yaml", tiny())
    for command in (["data", "check"], ["train", "--tree", TREE]):
        message = str(program(*command, job).exception)
        assert message.startswith(f"{job}: this is a job, and what is asked for is a search space")
        assert "\n" not in message
    names_it = written(tmp_path / "other.yaml", tiny(space="job.yaml"))
    message = str(program("validate", names_it).exception)
    assert re.match(rf"{names_it}:\d+: space: {job}: this is a job, and", message)
