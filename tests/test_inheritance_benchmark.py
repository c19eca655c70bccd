import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.inheritance import summary
from branchsearch.task import Direction, Task
from branchsearch.tree import Tree

TASKS = [Task(name, "depth", "rmse", Direction.MINIMIZE) for name in "ab"]
SEPARATE = Tree.parse("a,b")


def run(home: Path) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.inheritance", "--home", str(home)]
    command += ["--trees", "2", "--epochs", "2", "--images", "64"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_rows_that_are_there_are_not_measured_again(tmp_path: Path):
    assert len(run(tmp_path)) == 3 * 3 + 1
    path = tmp_path / "inheritance.csv"
    whole = path.read_text()
    rows = list(csv.DictReader(whole.splitlines()))
    assert [row["inherit"] for row in rows] == ["scratch", "copy", "mean"] * 3
    assert len({row["delta"] for row in rows}) == 8  # one member is its own mean
    path.write_text("".join(whole.splitlines(keepends=True)[:-2]))
    assert len(run(tmp_path)) == 2 + 1
    again = list(csv.DictReader(path.read_text().splitlines()))
    assert [{**row, "seconds": ""} for row in again] == [{**row, "seconds": ""} for row in rows]


def row(tree: str, how: str, early: float, final: float) -> dict[str, str]:
    """Of a network whose error is lower by half its gain in percent, in both tasks."""
    errors = json.dumps({"a": 100 - final / 2, "b": 100 - final / 2})
    delta = {"delta_early": str(early), "delta": str(final), "metrics": errors}
    return {"tree": tree, "inherit": how, **delta}


def test_the_summary_by_hand():
    rows = [
        row(tree, how, early, final)
        for how, more, sign in (("scratch", 0, 1), ("copy", 20, -1), ("mean", 0, 1))
        for tree, early, final in ((t, sign * n, 20 * n + more) for n, t in enumerate("xyz"))
    ]
    rows.append(row("lacks two ways", "copy", 0, 99))
    rows += [row("a,b", how, 0, 20) for how in ("scratch", "copy", "mean")]
    first, scratch, copy, mean = summary(rows, TASKS, SEPARATE)
    assert first == "3 trees trained in every way"
    assert "gain +20.00 ± 11.55 %, +0.00 ± 0.00 over scratch, +0.00 ± 6.42 at equal" in scratch
    assert "gain +40.00 ± 11.55 %, +20.00 ± 0.00 over scratch, +11.11 ± 6.42 at equal" in copy
    assert "of 2 epochs against all 1.00, " in scratch
    assert "of 2 epochs against all -1.00, " in copy
    assert mean.removeprefix("mean") == scratch.removeprefix("scratch")


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_trees_are_counted_and_not_averaged(count: int):
    rows = [row(tree, how, 1, 1) for tree in "xy"[:count] for how in ("scratch", "copy", "mean")]
    assert summary(rows, TASKS, SEPARATE) == [f"{count} trees trained in every way"]
