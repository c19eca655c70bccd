"""The commands that judge samplers, as a shell sees them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict
from typer.testing import CliRunner, Result

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.measure import Estimate
from branchsearch.cli.main import app, exit_code
from tests.replaying import FIVE

RULES = ["share_all", "share_none", "most_cost_that_fits"]


class Report(BaseModel):
    """What other programs rely on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    regret: dict[str, list[float]]
    interval: dict[str, list[tuple[float, float]]]
    spearman: dict[str, float | None]
    hypervolume: dict[str, float | None]
    seconds: dict[str, float]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "five.csv"
    path.write_text(FIVE)
    return path


def replay(table: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["replay", str(table), *arguments])


def replayed(table: Path, *arguments: str) -> Report:
    result = replay(table, "--output", "json", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")  # nobody looks on
    return Report.model_validate_json(result.stdout)


def affinity(folder: Path, tasks: tuple[str, ...] = ("a", "b", "c"), stages: int = 1) -> str:
    values = np.stack([np.eye(len(tasks))] * stages)
    path = folder / "affinity.npz"
    Affinity("rsa", tasks, Estimate(values, values, values, values)).save(path)
    return str(path)


def test_the_report_has_a_number_for_every_sampler_and_number_of_trainings(table: Path):
    asked = ["--trials", "5", "--start", "2", "--repeats", "8"]
    found = replayed(table, "--sampler", "tpe", "--sampler", "random", *asked)
    names = ["tpe", "random", "random_tree", *RULES]
    for part in (found.regret, found.interval, found.spearman, found.hypervolume, found.seconds):
        assert list(part) == names
    for name in names:
        assert len(found.regret[name]) == len(found.interval[name]) == 4  # after 2, 3, 4, 5
        for mean, (low, high) in zip(found.regret[name], found.interval[name], strict=True):
            assert 0 <= low <= mean <= high
    for name in ("tpe", "random", "random_tree"):
        assert found.regret[name][0] == found.regret["tpe"][0]  # the same trees at random
        assert found.regret[name][-1] == 0  # every tree is trained
        assert found.spearman[name] is None
        assert found.hypervolume[name] == 1
    assert found.regret["share_all"] == [4] * 4


def test_the_seed_decides(table: Path):
    asked = ["--sampler", "tpe", "--trials", "3", "--start", "1", "--repeats", "9"]
    once, again, other = (
        replayed(table, *asked, "--seed", seed).regret for seed in ("1", "1", "2")
    )
    assert once == again != other


def test_random_tree_stands_there_once_if_it_is_asked_for(table: Path):
    asked = ["--trials", "2", "--start", "1", "--repeats", "2"]
    assert list(replayed(table, "--sampler", "random_tree", *asked).regret) == [
        "random_tree",
        *RULES,
    ]


@pytest.mark.parametrize("bound", ["parameters=20", "cost:parameters=20.5", " parameters = 2_0"])
def test_a_budget_counts_the_trees_that_keep_to_it(table: Path, bound: str):
    asked = ["--sampler", "random", "--trials", "4", "--repeats", "3"]
    assert replayed(table, *asked, "--budget", bound).regret["random"][-1] == 0
    within = replay(table, *asked[:2], "--trials", "5", "--budget", bound)
    assert "the table has 4 allowed trees" in str(within.exception)


def test_of_two_budgets_on_a_cost_the_lower_counts(table: Path):
    budgets = ["--budget", "parameters=10", "--budget", "parameters=30"]
    asked = ["--sampler", "random", "--trials", "1", "--start", "1"]
    assert replayed(table, *asked, *budgets).regret["share_none"] == [0]  # one tree is left


def test_the_cost_with_a_budget_counts(table: Path):
    # by parameters nothing is dearer than to share nothing, by the other cost something is
    rows = [
        f"{line},{n}"
        for n, line in zip(["cost:other", 9, 2, 3, 1, 5], FIVE.splitlines(), strict=True)
    ]
    table.write_text("\n".join(rows))
    asked = ["--sampler", "random", "--trials", "1", "--start", "1"]
    first = replayed(table, *asked).hypervolume
    other = replayed(table, *asked, "--budget", "other=9").hypervolume
    assert first["most_cost_that_fits"] == 0
    assert other["most_cost_that_fits"] == 0
    assert first["share_none"] == 0 != other["share_none"]


def test_an_affinity_reaches_the_sampler(table: Path, tmp_path: Path):
    asked = ["--sampler", "ranked", "--trials", "2", "--start", "1", "--repeats", "2"]
    assert replayed(table, *asked, "--affinity", affinity(tmp_path)).regret["ranked"]


def test_a_table_for_people(table: Path):
    result = replay(table, "--sampler", "random", "--trials", "3", "--start", "1")
    assert result.exit_code == 0
    for text in ("regret after 1", "regret after 2", "regret after 3", "share_none", "a,b+c"):
        assert text in result.stdout


def said(table: Path, *arguments: str) -> str:
    """The error, in the words of which it tells the user; the exit code is 2."""
    result = replay(table, *arguments)
    if result.exit_code == 2:  # refused by the command line itself
        return result.stderr
    assert isinstance(result.exception, Exception)
    assert exit_code(result.exception) == 2
    return str(result.exception)


def test_what_is_wrong_is_said(table: Path, tmp_path: Path):
    ask = ["--sampler", "random", "--trials", "3", "--start", "1"]
    assert "no sampler 'rondom'" in said(table, "--sampler", "rondom")
    assert "did you mean 'random'" in said(table, "--sampler", "rondom")
    assert "--sampler" in said(table, *ask, "--sampler", "optuna:GridSampler")
    assert "is no number" in said(table, *ask, "--budget", "parameters=nan")
    assert "6 trials are asked for" in said(table, *ask[:2], "--trials", "6")
    assert "not with 4" in said(table, *ask, "--start", "4")
    assert "is no upper bound" in said(table, *ask, "--budget", "parameters")
    assert "no cost 'latency'" in said(table, *ask, "--budget", "latency=3")
    assert "the least is 10" in said(table, *ask, "--budget", "parameters=3")
    assert "is of a, b, and" in said(table, *ask, "--affinity", affinity(tmp_path, ("a", "b")))
    assert "is of 2 stages" in said(table, *ask, "--affinity", affinity(tmp_path, stages=2))
    assert "no file of an affinity" in said(table, *ask, "--affinity", str(table))
    table.write_text("tree,score:a\na,x\n")
    assert f"{table}:2: column 'score:a' holds 'x'" in said(table, *ask)


def test_a_file_that_is_not_there_is_a_mistake_of_the_user(table: Path, tmp_path: Path):
    nope, ask = tmp_path / "none", ("--sampler", "random")
    for path in (nope, tmp_path):
        assert said(path, *ask).startswith("no file ")
        assert said(table, *ask, "--affinity", str(path)).startswith("no file ")


def simulated(*arguments: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, ["simulate", *arguments, "--output", "json"])
    assert result.exit_code == 0, result.stderr
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


def test_a_made_up_space_is_simulated():
    asked = ["--synthetic", "3x4", "--trials", "20", "--workers", "5"]
    one, other = simulated("--sampler", "random", "--sampler", "tpe", *asked)
    assert (one["sampler"], other["sampler"]) == ("random", "tpe")
    assert one["best_after_10_percent"] <= one["best_after_100_percent"] + 1
    assert 0 < one["workers_busy"] <= 1


def test_a_table_is_simulated_with_times_that_are_given(table: Path):
    asked = ["--trials", "4", "--workers", "2", "--seconds", "1800"]
    [row] = simulated(str(table), "--sampler", "random", *asked)
    assert row["simulated_hours"] == 1


def test_a_space_too_large_to_be_made_up():
    result = CliRunner().invoke(app, ["simulate", "--sampler", "random", "--synthetic", "300x2"])
    assert (result.exit_code, "at most 256 tasks" in result.stderr) == (2, True)


@pytest.mark.parametrize("size", ["8", "1x4", "8x0", "axb"])
def test_no_size_of_a_space(size: str):
    result = CliRunner().invoke(app, ["simulate", "--sampler", "random", "--synthetic", size])
    assert result.exit_code == 2
    assert "is no size" in result.stderr
