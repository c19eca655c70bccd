import doctest
from pathlib import Path

from branchsearch import catalog

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "backbones.md"


def test_the_examples_of_the_page_run():
    failed, tried = doctest.testfile(
        str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert tried > 10
    assert failed == 0


def test_every_backbone_of_the_catalog_is_on_the_page():
    text = PAGE.read_text()
    for name in catalog.names("backbone"):
        assert f"`{name}`" in text or f"`{name}<" in text
