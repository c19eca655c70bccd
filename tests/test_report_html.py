from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings

from branchsearch.report.findings import Findings
from branchsearch.report.html import page, write_report
from branchsearch.tree import Tree
from tests.report_findings import a_job, affinity, confirmed, findings, task, trial, without

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Reads a page, checks that its elements close in order, and keeps what they hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def prose(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(autouse=True)
def _without_plotly(request: pytest.FixtureRequest) -> Iterator[None]:
    """Five megabytes of somebody else's script are read by one test only."""
    if "plotly" in request.node.name:
        yield
    else:
        with patch("branchsearch.report.html.get_plotlyjs", return_value="/* plotly */"):
            yield


def read(found: Findings) -> Reader:
    return Reader(page(found))


@settings(max_examples=25, deadline=None)
@given(findings())
def test_whatever_was_found_is_a_page(found: Findings):
    reader = read(found)
    assert found.title in " ".join(reader.words)
    rows = [attrs for tag, attrs in reader.elements if tag == "tr"]
    assert len(rows) == (1 + len(found.trials) if found.trials else 0)
    assert sum(attrs.get("class") == "front" for attrs in rows) <= len(found.trials)


@settings(max_examples=15, deadline=None)
@given(findings())
def test_the_page_loads_nothing(found: Findings):
    for tag, attrs in read(found).elements:
        assert tag not in ("link", "iframe", "img", "object", "embed")
        assert not {"src", "href", "srcset", "data", "xlink:href"} & attrs.keys()


def test_plotly_is_inlined_once():
    text = page(a_job())
    assert text.count("plotly.js v") == 1
    assert len(text) > 1_000_000


def test_a_name_cannot_leave_its_place():
    title, name = "</script><script<b>", "</script<b"
    evil = without(
        a_job(),
        title=title,
        tasks=(task(name, "depth"),),
        affinities=[affinity([name], np.ones((1, 1, 1)), measure=title)],
        trials=[trial(0, Tree.share_all([name], 1), "complete", 1.0)],
        confirmed=[],
        provenance={title: title},
    )
    assert "<script<b" not in page(evil)
    assert "</script<b" not in page(evil)
    reader = read(evil)
    assert reader.prose.count(title) == 5
    assert reader.prose.count(name) > 4


def test_the_headline_gives_gain_with_spread_and_cost():
    prose = read(a_job()).prose
    assert "+3.00 ± 0.30 %" in prose
    assert "Its Δ interval lies above" in prose
    assert prose.index("single-task networks 3 0.00") < prose.index("share all negative transfer 3")


def test_negative_transfer_is_flagged_with_its_task():
    found = a_job()
    gains = {t: [3.0, 3.1, 3.2] for t in ("depth", "normals", "seg")} | {
        "edges": [-6.0, -5.9, -6.1]
    }
    chosen = confirmed("c", found.confirmed[2].tree, gains, chosen=True)
    reader = read(without(found, confirmed=[found.confirmed[0], chosen]))
    assert "Worse than its single-task network by more than the noise: edges." in reader.prose
    assert [
        attrs["class"] for tag, attrs in reader.elements if tag == "td" and "title" in attrs
    ] == ["worse"]


def test_what_is_missing_is_said():
    empty = without(a_job(), trials=[], confirmed=[], affinities=[], provenance={})
    prose = read(empty).prose
    for words in (
        "No network has been chosen.",
        "No affinity was measured",
        "There was no trial",
        "No trial has a score",
        "No trial reported an epoch",
    ):
        assert words in prose


def test_a_search_in_which_all_failed_says_so():
    tree = a_job().confirmed[1].tree
    failed = [trial(n, tree, "failed", 0.0) for n in range(3)]
    prose = read(without(a_job(), trials=failed, confirmed=[])).prose
    assert "Trials: 3 failed" in prose
    assert "No trial was trained to its end within the budget." in prose


def test_a_report_that_cannot_be_made_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "report.html"
    write_report(a_job(), path)
    old = path.read_bytes()
    with (
        patch("pathlib.Path.replace", side_effect=OSError("disk")),
        pytest.raises(OSError, match="disk"),
    ):
        write_report(without(a_job(), title="new"), path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
