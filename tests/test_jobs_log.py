from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.jobs.log import read, write


def test_lines_come_back_in_order(tmp_path: Path):
    path = tmp_path / "trials" / "0.jsonl"
    write(path, "began", attempt=1)
    write(path, "ended", how="failed", trace="line\nline", reason=None)
    began, ended = read(path)
    assert (began["event"], began["attempt"]) == ("began", 1)
    assert ended["trace"] == "line\nline"
    assert "reason" not in ended
    assert began["at"] <= ended["at"]


@given(st.integers(1, 60))
def test_a_line_cut_off_by_a_kill_costs_no_other(
    tmp_path_factory: pytest.TempPathFactory, cut: int
):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    write(path, "first")
    write(path, "second")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - min(cut, len(whole.splitlines()[1]))])
    write(path, "third")
    events = [event["event"] for event in read(path)]
    assert events in (["first", "third"], ["first", "second", "third"])  # the latter: cut after }


def test_no_log_is_empty(tmp_path: Path):
    assert read(tmp_path / "log.jsonl") == []
