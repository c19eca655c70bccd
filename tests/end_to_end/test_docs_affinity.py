"""The how-to page on affinity, done as it says."""

import re
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from branchsearch.jobs.pipeline import Result
from branchsearch.jobs.reading import read_job
from tests.end_to_end.test_cli import program
from tests.specs import tiny

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]

PAGE = Path(__file__).parents[2] / "docs" / "affinity.md"
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.S)


def test_the_page_can_be_followed_from_top_to_bottom(
    home: Path,
    result: Result,  # noqa: ARG001  # it is the last job
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRANCHSEARCH_HOME", str(home))
    kinds = []
    for kind, block in BLOCK.findall(PAGE.read_text()):
        kinds.append(kind)
        if kind == "python":
            exec(block, {})
        elif kind == "yaml":
            read_job(tiny(**YAML(typ="safe").load(block)))
        else:
            for line in block.splitlines():
                ran = program(*shlex.split(line)[1:])
                assert ran.returncode == 0, f"{line}: {ran.stderr}"
    assert set(kinds) == {"", "python", "yaml"}
    by_job = {path.name for path in (tmp_path / "by-job").iterdir()}
    assert by_job == {
        "affinity.npz",
        "affinity-gradient_cosine.npz",
        "affinity.html",
        "affinity.csv",
    }
