import csv
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.inheritance import summary


def run(home: Path) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.inheritance", "--home", str(home)]
    command += ["--trees", "2", "--epochs", "2", "--images", "64"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_rows_that_are_there_are_not_measured_again(tmp_path: Path):
    assert len(run(tmp_path)) == 2 * 3 + 1
    path = tmp_path / "inheritance.csv"
    whole = path.read_text()
    rows = list(csv.DictReader(whole.splitlines()))
    assert [row["inherit"] for row in rows] == ["scratch", "copy", "mean"] * 2
    assert len({row["delta"] for row in rows}) == 6
    path.write_text("".join(whole.splitlines(keepends=True)[:-2]))
    assert len(run(tmp_path)) == 2 + 1
    again = list(csv.DictReader(path.read_text().splitlines()))
    assert [{**row, "seconds": ""} for row in again] == [{**row, "seconds": ""} for row in rows]


def test_the_summary_by_hand():
    rows = [
        {"tree": tree, "inherit": how, "delta_early": str(early), "delta": str(final)}
        for how, more, sign in (("scratch", 0, 1), ("copy", 1, -1), ("mean", 0, 1))
        for tree, early, final in ((t, sign * n, 2 * n + more) for n, t in enumerate("abc"))
    ]
    rows.append({"tree": "d", "inherit": "copy", "delta_early": "0", "delta": "99"})
    first, scratch, copy, mean = summary(rows)
    assert first == "3 trees trained in every way"
    assert "gain +2.00 %, +0.00 ± 0.00" in scratch
    assert "gain +3.00 %, +1.00 ± 0.00" in copy
    assert [line[-5:] for line in (scratch, copy, mean)] == [" 1.00", "-1.00", " 1.00"]


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_trees_are_counted_and_not_averaged(count: int):
    rows = [
        {"tree": tree, "inherit": how, "delta_early": "1", "delta": "1"}
        for tree in "ab"[:count]
        for how in ("scratch", "copy", "mean")
    ]
    assert summary(rows) == [f"{count} trees trained in every way"]
