"""Tables: what is read, and what is refused where."""

from pathlib import Path

import numpy as np
import pytest

from branchsearch.search.replay.synthetic import plant
from branchsearch.search.replay.synthetic import table_of as made_up
from branchsearch.search.replay.table import CannotReplay, InvalidTable, read_table, write_table
from branchsearch.tree import Tree
from tests.replaying import FIVE, QUALITY, table_of

SEEDS = """\
tree,seed,score:b,score:a,cost:x,note
a+b,0,1,3,10,first
a+b,1,3,5,14,
"b,a",0,0,10,20,
"""


def test_quality_is_the_mean_over_tasks_and_seeds(tmp_path: Path):
    table = table_of(SEEDS, tmp_path)
    assert table.trees == (Tree.parse("a+b"), Tree.parse("a,b"))
    assert table.quality.tolist() == [3, 5]
    assert table.scores.tolist() == [[3, 1], [5, 3], [10, 0]]  # tasks in the trees' order
    assert table.costs["x"].tolist() == [12, 20]
    assert table.seconds is None
    assert table.curves.shape == (3, 0)


def test_curves_and_seconds_are_read_in_any_order_and_other_columns_passed_over(tmp_path: Path):
    epochs = [10, 3, 2, 1, 4, 5, 6, 7, 8, 9]
    header = ",".join(f"delta:{epoch}" for epoch in epochs)
    text = f"{header},seconds,tree,metric:a,score:a\n{','.join(map(str, epochs))},7,a,nan,4\n"
    table = table_of(text, tmp_path)
    assert table.curves.tolist() == [list(range(1, 11))]
    assert table.seconds is not None
    assert table.seconds.tolist() == [7]


def test_a_byte_order_mark_and_empty_lines_do_no_harm(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text("\ntree,score:a\n\na,1\n,\n", encoding="utf-8-sig")
    assert read_table(path).quality.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("", 0, "no column 'tree' among none"),
        ("score:a\n1\n", 1, "no column 'tree' among score:a"),
        ("tree,cost:x\na,1\n", 1, "no column 'score:<task>'"),
        ("tree,score:a,score:a\na,1,1\n", 1, "column 'score:a' stands twice"),
        ("tree,score:a,delta:last\na,1,1\n", 1, "column 'delta:last': 1 such columns are those of"),
        ("tree,score:a\na,much\n", 2, "column 'score:a' holds 'much'"),
        ("tree,score:a\na,\n", 2, "column 'score:a' holds ''"),
        ("tree,score:a\na,nan\n", 2, "column 'score:a' holds 'nan'"),
        ("tree,score:a,cost:x\na,1,inf\n", 2, "column 'cost:x' holds 'inf'"),
        ("tree,score:a\na,1,2\n", 2, "has 3 cells under 2 columns"),
        ("tree,score:a,score:b\na+b,1,2\na+b+a,1,2\n", 3, "column 'tree'"),
        ("tree,score:a,score:b\na,1,2\n", 2, "is of a, and the scores are of a, b"),
        ("tree,score:a\na,1\na > a,1\n", 3, "has 2 stages, and other trees 1"),
        ('tree,score:a,score:b\n"a,b",1,2\n"b,a",1,2\n', 3, "stands in line 2 already"),
        ("tree,seed,score:a\na,0,1\na,1,1\na,1,1\n", 4, "in line 3 already, with seed 1"),
        ('tree,score:a\n"a,1\n', 2, "unexpected end of data"),
        ("tree,score:a,delta:01\na,1,1\n", 1, "column 'delta:01': 1 such columns are those of"),
        ("tree,score:a,delta:1,delta:3\na,1,1,1\n", 1, "column 'delta:3': 2 such columns"),
        ("tree,score:a,seconds\na,1,0\n", 2, "'seconds' holds '0', and a training takes longer"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int, fault: str):
    with pytest.raises(InvalidTable) as raised:
        table_of(text, tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / 'table.csv'}:{line}: ")
    assert fault in str(raised.value)


def test_a_table_without_rows(tmp_path: Path):
    with pytest.raises(InvalidTable, match="no row"):
        table_of("tree,score:a\n", tmp_path)


def test_a_file_that_is_no_text(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidTable, match="no text in UTF-8"):
        read_table(path)


def test_a_budget_leaves_the_trees_that_keep_to_it(tmp_path: Path):
    within = table_of(FIVE, tmp_path).within({"parameters": 20})
    assert {str(tree) for tree in within.trees} == QUALITY.keys() - {"a,b,c"}
    assert within.quality.tolist() == [QUALITY[str(tree)] for tree in within.trees]
    assert within.costs["parameters"].max() == 20


def test_rows_stay_with_their_trees_in_a_budget(tmp_path: Path):
    within = table_of(SEEDS.replace("10,first", "99,"), tmp_path).within({"x": 20})
    assert within.trees == (Tree.parse("a,b"),)
    assert within.quality.tolist() == [5]


def test_a_budget_that_nothing_keeps_to(tmp_path: Path):
    with pytest.raises(CannotReplay, match="parameters ≤ 9; the least is 10"):
        table_of(FIVE, tmp_path).within({"parameters": 9})


def test_budgets_that_each_has_its_trees_and_none_both(tmp_path: Path):
    two = table_of('tree,score:a,score:b,cost:x,cost:y\na+b,1,2,3,40\n"a,b",1,2,30,4\n', tmp_path)
    with pytest.raises(CannotReplay, match="keeps to all of x ≤ 10, y ≤ 10"):
        two.within({"x": 10, "y": 10})
    with pytest.raises(CannotReplay, match="budget of x is no number"):
        two.within({"x": float("nan")})


def test_a_budget_on_a_cost_that_is_not_there(tmp_path: Path):
    with pytest.raises(CannotReplay, match="no cost 'latency'; there are parameters"):
        table_of(FIVE, tmp_path).within({"latency": 9})


def test_what_is_written_is_read_again(tmp_path: Path):
    table = made_up(plant(3, 2, seed=0), seeds=2, seed=0)
    write_table(table, tmp_path / "made.csv")
    again = read_table(tmp_path / "made.csv")
    assert again.trees == table.trees
    assert again.rows == table.rows
    np.testing.assert_array_equal(again.scores, table.scores)
    np.testing.assert_array_equal(again.seconds, table.seconds)
    np.testing.assert_array_equal(again.costs["parameters"], table.costs["parameters"])
