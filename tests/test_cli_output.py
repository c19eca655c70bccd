import json

import pytest

from branchsearch.cli.options import Output
from branchsearch.cli.output import show

ROWS = [{"network": "one", "seg": 0.5, "ms": 3}, {"network": "two", "ms": 40, "depth": 0.25}]


def test_rows_of_different_keys_share_a_table(capsys: pytest.CaptureFixture[str]):
    show(ROWS, Output.TABLE)
    header, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == ["network", "seg", "ms", "depth"]
    assert rows == [["one", "0.5", "3", "-"], ["two", "-", "40", "0.25"]]


def test_rows_are_json_as_they_are(capsys: pytest.CaptureFixture[str]):
    show(ROWS, Output.JSON)
    assert json.loads(capsys.readouterr().out) == ROWS


def test_no_rows_are_said_to_be_none(capsys: pytest.CaptureFixture[str]):
    show([], Output.TABLE)
    assert capsys.readouterr().out.split() == ["nothing"]
