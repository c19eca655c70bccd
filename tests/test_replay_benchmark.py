"""The benchmark of samplers, its tables and figures, and the page that shows them."""

import json
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import taskgrouping
from benchmarks.lines import Line, Panel, picture
from benchmarks.replay import AT, COLOURS, GROUPINGS, START, luck, ratio
from benchmarks.trained_tables import FOLDER, SEEDS, without_what_seeds_add
from branchsearch.cli.main import app
from branchsearch.search.replay.affinities import read_affinity
from branchsearch.search.replay.replay import Replayed
from branchsearch.search.replay.table import read_table
from branchsearch.space.space import Space
from branchsearch.tree import Tree

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "replay.md"


def test_the_benchmark_ends_with_its_figures():
    command = [sys.executable, "-m", "benchmarks.replay", "--quick"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    *lines, last = done.stdout.splitlines()
    figures = json.loads(last)
    assert figures["name"] == "replay"
    numbers = ["ratio", "seconds", "reference_seconds", "peak_mib"]
    assert all(figures[number] > 0 for number in numbers)
    assert any(line.startswith("| random_tree |") for line in lines)


def test_the_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text()
    [table] = re.findall(r"```csv\n(.*?)```", page, re.S)
    Path("table.csv").write_text(table)
    commands = re.findall(r"^branchsearch (.*)$", page, re.M)
    assert len(commands) == 4
    for command in commands:
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0, (command, result.exception, result.stderr)


def replayed(regret: list[float]) -> Replayed:
    """Repeats with a regret at the place that samplers are compared at."""
    each = np.zeros((len(regret), AT - START + 1))
    each[:, -1] = regret
    return Replayed(each, *(np.zeros(len(regret)) for _ in range(3)))


def test_the_ratio_is_to_the_best_of_the_peers():
    found = {
        "tree_gp": replayed([1, 1]),
        "random": replayed([4, 8]),
        "tpe": replayed([2, 6]),
        "nsga2": replayed([9, 9]),
    }
    middle, low, high = ratio(found)
    assert middle == 1 / 4
    assert low == pytest.approx(1 / 6)  # of the second repeat alone
    assert high == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("name", "tasks", "stages", "trees"), [("scenes", 4, 3, 154), ("scenes_deep", 3, 5, 51)]
)
def test_a_shipped_table_has_every_tree_with_every_seed(
    name: str, tasks: int, stages: int, trees: int
):
    table = read_table(FOLDER / f"{name}.csv")
    space = Space.of(table.tasks, stages)
    assert (len(table.tasks), space.count()) == (tasks, trees)
    assert set(table.trees) == set(space)
    assert {len(rows) for rows in table.rows} == {SEEDS}
    assert set(table.costs) == {"parameters", "multiply_adds"}
    assert table.curves.shape[1] == 8
    means = [
        table.scores[[rows[seed] for rows in table.rows]].mean(axis=0) for seed in range(SEEDS)
    ]
    assert np.ptp(means, axis=0).max() < 1e-9  # what a seed adds is off
    assert read_affinity(FOLDER / f"{name}.npz", table).shape == (stages, tasks, tasks)


def test_what_a_seed_adds_to_all_trees_is_taken_off():
    rows = [
        {"tree": tree, "seed": seed, "score:a": str(worth + 5 * seed), "metric:a": "1"}
        for seed in (0, 1)
        for tree, worth in (("a,b", 1.0), ("a+b", 3.0))
    ]
    assert [row["score:a"] for row in without_what_seeds_add(rows)] == [3.5, 5.5, 3.5, 5.5]
    assert all(row["metric:a"] == "1" for row in without_what_seeds_add(rows))


def test_luck_is_what_noise_leaves(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text('tree,seed,score:a,score:b\n"a,b",0,1,1\n"a,b",1,3,3\na+b,0,2.5,2.5\n')
    # the better tree, of 2.5, is missed where the other shows its 3
    assert luck(read_table(path)) == pytest.approx(0.25, abs=0.03)


def test_a_picture_has_a_line_and_a_band_for_each_sampler_in_each_panel():
    line = Line([2.0, 1.0], [1.0, 0.0], [3.0, 2.0])
    drawn = picture(
        [Panel("one", 4, {"a": line, "b & c": line}), Panel("two", 4, {"a": line})],
        {"a": "#000000", "b & c": "#ff0000"},
        across="trainings",
        up="regret",
    )
    bands = [e for e in ET.fromstring(drawn).iter() if e.tag.endswith("polygon")]
    assert [band.get("fill") for band in bands] == ["#000000", "#ff0000", "#000000"]


@pytest.mark.parametrize("panels", [1, 3])
def test_names_in_the_key_do_not_touch_each_other_or_the_panels(panels: int):
    line = Line([2.0, 1.0], [1.0, 0.0], [3.0, 2.0])
    panel = Panel("one", 4, dict.fromkeys(COLOURS, line))
    drawn = ET.fromstring(picture([panel] * panels, COLOURS, across="trainings", up="regret"))
    key = [e for e in drawn if e.tag.endswith("text")]
    assert len(key) == len(COLOURS)
    # of a letter in this size, generously
    boxes = [
        (float(name.get("x", "")), float(name.get("y", "")), 6.5 * len(name.text or ""))
        for name in key
    ]
    for (x, y, wide), (next_x, next_y, _) in pairwise(boxes):
        assert next_y - y >= 11 or x + wide < next_x - 20  # where the next one's stroke begins
    top = min(
        float(group.get("transform", "").removesuffix(")").split()[1])
        for group in drawn
        if group.tag.endswith("g")
    )
    assert max(y for _, y, _ in boxes) < top
    assert max(x + wide for x, _, wide in boxes) <= float(drawn.get("width", ""))


def grouped(folder: Path) -> Path:
    """Losses of two tasks, together and alone."""
    rows = [
        ("a+b", "full", "a", 4),
        ("a+b", "full", "b", 2),
        ("a", "full", "a", 3),
        ("a", "half_size_single", "a", 9),
        ("b", "full", "b", 1),
    ]
    head = "setting,split,task_subset,network,task,loss_lower_is_better\n"
    lines = [f"s,{split},{','.join(map(str, row))}\n" for split in ("val", "test") for row in rows]
    path = folder / taskgrouping.FILE
    path.write_text(head + "".join(lines))
    return path


def test_groups_become_branches_and_losses_scores(tmp_path: Path):
    [path] = taskgrouping.convert(grouped(tmp_path), tmp_path)
    table = read_table(path)
    assert path.stem == "s"
    assert dict(zip(map(str, table.trees), table.quality.tolist(), strict=True)) == {
        "a+b": -3,
        "a,b": -2,
    }
    assert table.costs["networks"].tolist() == [1, 2]


@pytest.mark.skipif(not (GROUPINGS / taskgrouping.FILE).is_file(), reason="data not here")
def test_the_published_groupings_are_four_tables_of_all_partitions(tmp_path: Path):
    paths = taskgrouping.convert(GROUPINGS / taskgrouping.FILE, tmp_path)
    assert len(paths) == 4
    for path in paths:
        table = read_table(path)
        assert len(table.trees) == 52  # the partitions of five tasks
    first = read_table(paths[0])
    together = first.trees.index(Tree.share_all(first.tasks, 1))
    assert -5 * first.quality[together] == pytest.approx(0.50761)  # as published
