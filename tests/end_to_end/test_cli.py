"""The commands, as a shell sees them, on a home in which one job has run."""

import json
import re
import socket
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from ruamel.yaml import YAML

from branchsearch.cli.main import main
from branchsearch.jobs.confirm import best_candidates
from branchsearch.jobs.home import Home
from branchsearch.jobs.pipeline import Result, seen
from tests.specs import TINY, tiny

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def program(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What the program does, in this process: a fresh one would import for four seconds a call."""
    command = ["branchsearch", *map(str, arguments)]
    out, err, code = StringIO(), StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", command):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def answer(*arguments: str | Path) -> Any:  # noqa: ANN401  # any JSON
    ran = program(*arguments, "--output", "json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def written(path: Path, content: Any) -> Path:  # noqa: ANN401
    with path.open("w") as file:
        YAML().dump(content, file)
    return path


def test_the_program_is_installed_and_answers_with_an_exit_code(tmp_path: Path):
    command = [sys.executable, "-m", "branchsearch", "show", "last", "--home", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 3
    assert ran.stderr == f"branchsearch: no job was ever run in {tmp_path}\n"


def test_a_valid_job_is_said_to_be_valid(tmp_path: Path):
    assert answer("validate", written(tmp_path / "job.yaml", TINY)) == {
        "valid": True,
        "name": "tiny",
    }
    assert "valid  yes" in program("validate", "scenes_quick").stdout


def test_a_database_that_is_none_is_said_in_words(tmp_path: Path):
    (tmp_path / "branchsearch.db").write_bytes(b"no database" * 1000)
    ran = program("list", "--home", tmp_path)
    assert ran.returncode == 6
    assert "not a database" in ran.stderr


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_an_invalid_job_starts_and_writes_nothing(tmp_path: Path, command: str):
    spec = written(tmp_path / "job.yaml", tiny(samplr={"name": "tpe"}))
    home = ["--home", tmp_path / "home"] if command == "run" else []
    ran = program(command, spec, *home)
    assert ran.returncode == 2
    assert re.search(r"job.yaml:\d+: samplr: unknown key; did you mean 'sampler'", ran.stderr)
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == [spec]


def test_a_plan_counts_trees_and_trainings(tmp_path: Path):
    planned = answer("plan", written(tmp_path / "job.yaml", TINY))
    assert (planned["trees"], planned["baselines"], planned["trials"]) == (12, 4, 5)


def test_a_home_that_cannot_be_written_is_an_error_in_words(tmp_path: Path):
    ran = program("run", written(tmp_path / "job.yaml", TINY), "--home", "/proc/home")
    assert ran.returncode == 6
    assert "cannot write to /proc/home" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_jobs_are_listed_and_shown(home: Path, result: Result):
    assert result.job.id in [row["id"] for row in answer("list", "--home", home)]
    shown = answer("show", result.job.id, "--home", home)
    assert (shown["state"], shown["trials"]["asked"]) == ("succeeded", 5)
    assert shown["trials"]["complete"] + shown["trials"]["stopped"] == 5
    for command in ("list", "show", "trials", "best"):
        job = [] if command == "list" else [result.job.id]
        assert program(command, *job, "--home", home).stdout


def test_trials_and_the_best_are_shown(home: Path, result: Result):
    rows = answer("trials", result.job.id, "--home", home)
    assert len([row for row in rows if row["outcome"] in ("complete", "stopped")]) == 5
    best = answer("best", result.job.id, "--home", home)
    assert best["chosen"]["tree"] == str(result.tree)
    on_front = {row["number"] for row in best["front"]}
    assert on_front <= {row["number"] for row in rows if row["outcome"] == "complete"}


def test_the_ledger_of_the_trials_adds_up_to_the_jobs(home: Path, result: Result):
    shown = answer("show", result.job.id, "--home", home)
    rows = answer("trials", result.job.id, "--home", home)
    steps = {row["step"]: row for row in shown["ledger_by_step"]}
    assert steps.keys() == {"baselines", "search", "confirm"}
    for what in ("attempts", "seconds", "gpu_seconds"):
        in_search = sum(row["ledger"][what] for row in rows)
        assert in_search == pytest.approx(steps["search"][what])
        assert sum(row[what] for row in steps.values()) == pytest.approx(shown["ledger"][what])
    trained = [row for row in rows if row["outcome"] in ("complete", "stopped")]
    assert all(row["ledger"]["attempts"] for row in trained)
    new = [row for row in trained if row["tree"] != trained[0]["tree"]]  # that is a baseline
    assert all(row["ledger"]["seconds"] >= row["seconds"] for row in new)
    assert shown["ledger"]["cost"] is None


def test_logs_are_of_the_job_and_of_each_trial(home: Path, result: Result):
    events = answer("logs", result.job.id, "--home", home)
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert steps == ["baselines", "affinity", "search", "confirm", "export", "report"]
    told = {event["trial"]: event["outcome"] for event in events if event["event"] == "outcome"}
    rows = answer("trials", result.job.id, "--home", home)
    assert told == {row["number"]: row["outcome"] for row in rows}
    number = next(row["number"] for row in rows if row["outcome"] == "complete")
    of_trial = answer("logs", result.job.id, "--trial", str(number), "--home", home)
    assert [event["event"] for event in of_trial] == ["began", "epoch", "epoch", "outcome", "ended"]
    shown = program("logs", result.job.id, "--home", home).stdout.splitlines()
    assert len(shown) == len(events)
    assert program("logs", result.job.id, "--trial", "99", "--home", home).returncode == 3


def test_a_finished_job_is_extended_and_goes_on(home: Path, result: Result, tmp_path: Path):
    given = {"max_trials": 3, "cost_per_hour": 2.0, "max_cost": 50.0}
    spec = written(tmp_path / "job.yaml", tiny(budget=given, metadata={"name": "to extend"}))
    first = answer("run", spec, "--home", home)
    before = answer("show", first["job"], "--home", home)
    assert before["message"] == "budget.max_trials: 3 trained"
    for wrong in (["--max-trials", "3"], ["--max-seconds", "60"], []):
        refused = program("extend", first["job"], *wrong, "--home", home)
        assert refused.returncode == 2
        assert answer("show", first["job"], "--home", home) == before
    extended = answer("extend", first["job"], "--max-trials", "5", "--home", home)
    assert (extended["job"], extended["state"]) == (first["job"], "succeeded")
    rows = answer("trials", first["job"], "--home", home)
    assert [row["outcome"] for row in rows if row["outcome"] in ("complete", "stopped")] != []
    counted = [row for row in rows if row["outcome"] in ("complete", "stopped")]
    assert len(counted) == 5
    best = answer("best", first["job"], "--home", home)["chosen"]["tree"]
    described = json.loads((Path(extended["export"]) / "model.json").read_text())
    assert best == described["tree"] == extended["tree"]
    assert answer("run", spec, "--home", home) == extended  # the same spec goes on with it
    found = seen(Home(home), Home(home).store.get(first["job"]))
    confirmed = {network.tree for network in found.findings().confirmed[1:]}
    assert {each.tree for each in best_candidates(found.findings(), 2)} <= confirmed
    shown = answer("show", first["job"], "--home", home)
    assert shown["budget"]["max_trials"] == 5
    assert shown["ledger"]["cost"] == pytest.approx(2 * shown["ledger"]["seconds"] / 3600)
    assert result.job.id != first["job"]


def test_early_stopping_is_switched_off(home: Path, result: Result, tmp_path: Path):  # noqa: ARG001
    spec = written(tmp_path / "job.yaml", tiny(metadata={"name": "patient"}))
    ran = answer("run", spec, "--no-early-stopping", "--home", home)
    rows = answer("trials", ran["job"], "--home", home)
    assert {row["outcome"] for row in rows} == {"complete"}
    assert answer("show", ran["job"], "--home", home)["trials"]["complete"] == 5


def test_a_trial_is_exported_and_never_over_what_is_there(
    home: Path, result: Result, tmp_path: Path
):
    rows = answer("trials", result.job.id, "--home", home)
    number = next(row["number"] for row in rows if row["outcome"] == "complete")
    to = tmp_path / "net"
    call = ["export", result.job.id, "--trial", str(number), "--to", to, "--home", home]
    assert answer(*call) == {"export": str(to)}
    described = json.loads((to / "model.json").read_text())
    assert described["tree"] == rows[number]["tree"]
    again = program(*call)
    assert again.returncode == 5
    assert str(to) in again.stderr
    # baselines and other jobs of the home train some of the stopped trees to their end
    kept = {json.loads(file.read_text())["tree"] for file in home.glob("trainings/*/*/result.json")}
    stopped = [
        row["number"] for row in rows if row["outcome"] == "stopped" and row["tree"] not in kept
    ]
    for missing in [*stopped[:1], 99]:
        ran = program(
            "export",
            result.job.id,
            "--trial",
            str(missing),
            "--to",
            tmp_path / "no",
            "--home",
            home,
        )
        assert ran.returncode == 3
        assert not (tmp_path / "no").exists()


def test_a_report_is_written_where_it_is_asked_for(home: Path, result: Result, tmp_path: Path):
    to = tmp_path / "report.html"
    assert answer("report", result.job.id, "--to", to, "--home", home) == {"report": str(to)}
    assert to.read_text() == result.report.read_text()


def test_an_unknown_job_is_not_found(home: Path, result: Result, tmp_path: Path):  # noqa: ARG001
    for place in (home, tmp_path / "nowhere"):
        ran = program("show", "job_nowhere", "--home", place)
        assert ran.returncode == 3
        assert "no job" in ran.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_tree_is_drawn(tmp_path: Path):
    drawn = program("draw", "a+b+c > a+b,c")
    assert drawn.stdout.splitlines()[1].endswith("─┬─┤ 2 ├─┬─ a")
    for ending, start in ((".svg", b"<svg"), (".png", b"\x89PNG")):
        assert program("draw", "a+b > a,b", "--to", tmp_path / f"tree{ending}").returncode == 0
        assert (tmp_path / f"tree{ending}").read_bytes().startswith(start)
    for wrong in (("a > a+b",), ("a+b", "--to", tmp_path / "tree.gif")):
        assert program("draw", *wrong).returncode == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_one_tree_is_trained_alone(tmp_path: Path):
    space = written(tmp_path / "space.yaml", TINY["space"])
    tree = "depth+normals+seg > depth,normals+seg"
    call = ["train", space, "--tree", tree, "--home", tmp_path / "home", "--epochs", "2"]
    rows = answer(*call)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert answer(*call) == rows  # kept, and bit for bit the same
    ran = program("train", space, "--tree", "depth,seg > depth+seg", "--home", tmp_path / "home")
    assert ran.returncode == 2
    assert "--tree: tasks that had parted meet again at stage 1" in ran.stderr


def test_the_dashboard_shows_a_study_and_changes_nothing(home: Path, result: Result):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "branchsearch", "dashboard", "--home", home, "--port", port]
    server = subprocess.Popen(
        [*map(str, command), "--output", "json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        told = json.loads("".join(iter(server.stdout.readline, "}\n")) + "}")
        assert told["url"] == f"http://127.0.0.1:{port}/dashboard"
        assert result.job.id in told["studies"]
        url = f"http://127.0.0.1:{port}/api/studies"
        studies = json.loads(_body(url))["study_summaries"]
        assert result.job.id in [study["study_name"] for study in studies]
        with pytest.raises(HTTPError, match="405"):
            urlopen(Request(f"{url}/{studies[0]['study_id']}", method="DELETE"))
        assert _body(told["url"])
    finally:
        server.terminate()
        server.wait()


def _body(url: str) -> bytes:
    ends = time.monotonic() + 30
    while True:
        try:
            with urlopen(url) as response:
                body: bytes = response.read()
                return body
        except URLError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.2)


def test_the_package_is_imported_at_once():
    program_text = (
        "import time; began = time.process_time(); import branchsearch, sys\n"
        "print(time.process_time() - began)\n"
        "print({'torch', 'ray', 'optuna', 'sqlalchemy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program_text], capture_output=True, text=True)
    seconds, heavy = ran.stdout.splitlines()
    assert float(seconds) < 0.3
    assert heavy == "set()"
