import doctest
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from branchsearch import catalog
from branchsearch.cli.main import app
from branchsearch.datasets.columns import Column
from branchsearch.task import KINDS

DOCS = Path(__file__).parents[1] / "docs"
REFERENCE = DOCS / "reference" / "data.md"
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.S)


def test_the_examples_of_the_reference_run():
    failed, tried = doctest.testfile(str(REFERENCE), module_relative=False)
    assert tried > 8
    assert failed == 0


def test_every_data_set_and_every_kind_is_in_the_reference():
    text = REFERENCE.read_text()
    for name in catalog.names("dataset"):
        assert f"| `{name}` |" in text
    first_cells = re.findall(r"^\| ([a-z, ]+) \|", text, re.M)
    assert KINDS.keys() <= set(", ".join(first_cells).split(", "))


def test_all_that_a_column_may_say_is_in_the_reference():
    text = REFERENCE.read_text()
    for name in Column.__slots__:
        assert name in ("name", "kind") or f"`{name}`" in text, name


def test_the_page_on_your_data_can_be_followed_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BRANCHSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    kinds = []
    for kind, block in BLOCK.findall((DOCS / "your_data.md").read_text()):
        kinds.append(kind)
        if kind == "python":
            exec(block, {})
        elif kind == "yaml":
            Path("photos.yaml").write_text(block)
        else:
            for line in block.splitlines():
                words = shlex.split(line.replace("~", str(tmp_path)))
                done = CliRunner().invoke(app, words[1:])
                assert done.exit_code == 0, f"{line}: {done.output} {done.exception}"
                assert "seg" in done.stdout
    assert kinds == ["python", "", "yaml", ""]
