import pytest

from branchsearch import catalog
from branchsearch.task import KINDS, METRICS


@pytest.mark.parametrize("kind", catalog.BUILT_IN)
def test_every_name_is_found_and_documented(kind: str):
    for name in catalog.names(kind):
        assert catalog.find(kind, name).__doc__


def test_every_task_kind_finds_its_parts():
    for kind in KINDS.values():
        catalog.check("loss", kind.loss)
        catalog.check("head", kind.head)
    for metric in METRICS:
        catalog.check("metric", metric)


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(catalog.UnknownName, match=r"no sampler 'tep'; .*did you mean 'tpe'\?"):
        catalog.find("sampler", "tep")
