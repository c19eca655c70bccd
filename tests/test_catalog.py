from functools import partial

import pytest

from branchsearch import catalog
from branchsearch.task import KINDS, METRICS


@pytest.mark.parametrize("kind", catalog.BUILT_IN)
def test_every_name_is_found_and_documented(kind: str):
    for name in catalog.names(kind):
        family = name.endswith(":")
        found = catalog.find(kind, f"{name}any" if family else name)
        assert (found.func if isinstance(found, partial) else found).__doc__


def test_every_task_kind_finds_its_parts():
    for kind in KINDS.values():
        catalog.check("loss", kind.loss)
        catalog.check("head", kind.head)
    for metric in METRICS:
        catalog.check("metric", metric)


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(catalog.UnknownName, match=r"no sampler 'tep'; .*did you mean 'tpe'\?"):
        catalog.find("sampler", "tep")


def test_a_family_takes_what_stands_behind_the_colon():
    timm = catalog.find("backbone", "timm:a:b")
    assert isinstance(timm, partial)
    assert timm.args == ("a:b",)
    with pytest.raises(catalog.UnknownName, match="needs a name behind the colon"):
        catalog.check("backbone", "timm:")
    with pytest.raises(catalog.UnknownName, match="did you mean 'timm:resnet18'"):
        catalog.check("backbone", "tim:resnet18")
    with pytest.raises(catalog.UnknownName, match="no backbone 'resnet18:x'"):
        catalog.check("backbone", "resnet18:x")


def test_only_names_that_say_what_to_import_are_local():
    assert [name for name in catalog.names("backbone") if catalog.is_local("backbone", name)] == [
        "fx:"
    ]
    assert catalog.is_local("backbone", "fx:os:system")
    assert not catalog.is_local("backbone", "timm:resnet18")
    assert not catalog.is_local("sampler", "tpe")
    assert catalog.is_local("sampler", "optunahub:samplers/auto_sampler")
    assert not catalog.is_local("sampler", "optuna:GPSampler")
    assert catalog.is_local("sampler", "optunahub:samplers/auto_sampler")
    assert not catalog.is_local("sampler", "optuna:GPSampler")
