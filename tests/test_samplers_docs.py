import doctest
from pathlib import Path

import pytest

from branchsearch import catalog

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "samplers.md"


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_examples_of_the_page_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(PAGE.parents[2])
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 20
    assert failed == 0


def test_every_sampler_of_the_catalog_is_on_the_page():
    text = PAGE.read_text()
    for name in catalog.names("sampler"):
        assert f"| `{name}` |" in text or f"| `{name}<" in text
