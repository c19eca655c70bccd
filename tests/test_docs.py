"""What the documents say is true."""

import doctest
import re
from pathlib import Path

import pytest

from branchsearch import catalog
from branchsearch.jobs.reading import read_job, read_space
from branchsearch.jobs.shipped import shipped
from tests.spec_tables import job_rows, space_rows

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("document", "rows"), [("jobs", job_rows()), ("search_spaces", space_rows())]
)
def test_every_key_is_documented_with_its_default(document: str, rows: list[str]):
    text = (ROOT / document / "README.md").read_text()
    _, _, table = text.partition("| key | default | meaning |\n|---|---|---|\n")
    assert table.partition("\n\n")[0].splitlines() == rows


def test_every_name_of_the_catalog_is_documented():
    text = (ROOT / "search_spaces" / "README.md").read_text()
    text += (ROOT / "jobs" / "README.md").read_text()
    for kind in catalog.BUILT_IN.keys() - {"loss"}:  # a loss follows from the kind of task
        for name in catalog.names(kind):
            assert name in text, f"{kind} {name}"


@pytest.mark.parametrize("document", ["jobs", "search_spaces"])
def test_the_examples_can_be_used(tmp_path: Path, document: str):
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / document / "README.md").read_text(), re.S)
    assert examples
    for example in examples:
        path = tmp_path / "example.yaml"
        path.write_text(example)
        read_job(path) if document == "jobs" else read_space(path)


def test_the_examples_on_trees_run():
    page = ROOT / "docs" / "reference" / "trees.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 20
    assert not failed


def test_the_readme_names_what_is_there():
    text = (ROOT / "README.md").read_text()
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (ROOT / picture).is_file()
    for folder in re.findall(r"\]\(([a-z_/]+\.md)\)", text):
        assert (ROOT / folder).is_file()
    assert "scenes_quick" in shipped("jobs")
