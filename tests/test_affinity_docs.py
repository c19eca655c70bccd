import doctest
from pathlib import Path

from branchsearch import catalog

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "affinity.md"


def test_the_examples_of_the_page_run():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 20
    assert failed == 0


def test_every_measure_of_the_catalog_is_on_the_page():
    text = PAGE.read_text()
    for name in catalog.names("affinity"):
        measure = catalog.find("affinity", name)
        symmetric = "yes" if measure.symmetric else "no"
        assert f"| `{name}` | {measure.reads} | {symmetric} |" in text
