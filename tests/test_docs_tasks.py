import doctest
from pathlib import Path

from branchsearch import catalog
from branchsearch.task import KINDS, METRICS, Direction

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "tasks.md"
README = Path(__file__).parents[1] / "search_spaces" / "README.md"


def test_the_examples_of_the_page_run():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 20
    assert failed == 0


def test_every_kind_is_on_the_page_with_its_loss_and_metrics():
    rows = PAGE.read_text().splitlines()
    for name, kind in KINDS.items():
        (row,) = [row for row in rows if row.startswith(f"| `{name}` | [")]
        assert row.endswith(f"| `{kind.loss}` | {', '.join(f'`{m}`' for m in kind.metrics)} |")


def test_every_metric_is_on_both_pages_with_its_direction_and_kinds():
    page, readme = PAGE.read_text(), README.read_text()
    for metric, direction in METRICS.items():
        better = "higher" if direction is Direction.MAXIMIZE else "lower"
        assert f"| `{metric}` | {better} |" in page
        kinds = ", ".join(name for name, kind in KINDS.items() if metric in kind.metrics)
        assert f"| {metric} | {kinds} | {direction} |" in readme


def test_every_head_is_on_both_pages():
    for name in catalog.names("head"):
        assert f"| `{name}` |" in PAGE.read_text()
        assert f"| {name} |" in README.read_text()
