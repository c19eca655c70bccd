import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from branchsearch.backbones.resnet import ResidualStage
from branchsearch.export.classes import Import, NotExportable, arguments, excerpt, literal

PLUGIN = '''
import math
from collections.abc import Sequence

import numpy
import torch.nn.functional as F
from torch import Tensor, nn

#: Why this number: it was tried.
SCALE: float = math.pi
UNUSED = numpy.pi


def scaled(features: Tensor) -> Tensor:
    """Times a constant."""
    return F.relu(features) * SCALE


def decorated(cls: type) -> type:
    return cls


class Part(nn.Module):
    """What another builds upon."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Shape kept."""
        return scaled(self.conv(features))


class Unused(nn.Module):
    """Not wanted by anybody."""


@decorated
class Whole(Part):
    """Inherits, calls and annotates."""

    def __init__(self, channels: int, widths: Sequence[int] = ()) -> None:
        super().__init__(channels)
        self.widths = widths
        self.inner = Part(channels)


class Outsider(nn.Module):
    """Needs more than torch."""

    def forward(self, features: Tensor) -> Tensor:
        """Shape kept."""
        return features * numpy.pi


class Forgetful(nn.Module):
    """Does not keep what it was built with."""

    def __init__(self, channels: int) -> None:
        super().__init__()


class Variadic(nn.Module):
    """Takes any number."""

    def __init__(self, *channels: int) -> None:
        super().__init__()


class Keeper(nn.Module):
    """Keeps whatever it is given."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


class Part2:
    """Has a class inside."""

    class Inside(nn.Module):
        """Not at the top."""
'''


@contextmanager
def module(name: str, source: str, folder: Path) -> Iterator[ModuleType]:
    """Somebody else's, on the path."""
    (folder / f"{name}.py").write_text(source)
    sys.path.insert(0, str(folder))
    yield importlib.import_module(name)
    sys.path.remove(str(folder))
    del sys.modules[name]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    with module("export_plugin", PLUGIN, tmp_path_factory.mktemp("plugin")) as found:
        yield found


def test_a_class_brings_what_it_builds_upon_and_nothing_else(plugin: ModuleType):
    found = excerpt([plugin.Whole], {})
    assert set(found.definitions) == {"Whole", "Part", "scaled", "SCALE", "decorated"}
    assert found.imports == {
        Import("math"),
        Import("collections.abc", "Sequence"),
        Import("torch.nn.functional", alias="F"),
        Import("torch", "Tensor"),
        Import("torch", "nn"),
    }


def test_every_definition_stands_behind_what_it_needs(plugin: ModuleType):
    names = list(excerpt([plugin.Whole], {}).definitions)
    assert names.index("SCALE") < names.index("scaled") < names.index("Part") < names.index("Whole")
    assert names.index("decorated") < names.index("Whole")


def test_decorators_and_the_comment_above_come_along(plugin: ModuleType):
    definitions = excerpt([plugin.Whole], {}).definitions
    assert definitions["Whole"].startswith("@decorated\nclass Whole(Part):")
    assert definitions["SCALE"] == "#: Why this number: it was tried.\nSCALE: float = math.pi"


def test_a_residual_stage_brings_its_blocks():
    assert list(excerpt([ResidualStage], {}).definitions) == ["ResidualBlock", "ResidualStage"]


def test_a_class_that_needs_more_than_torch_is_refused(plugin: ModuleType):
    with pytest.raises(
        NotExportable, match=r"Outsider: it uses 'numpy' from numpy.*only timm, torch"
    ):
        excerpt([plugin.Outsider], {})


def test_a_class_inside_another_is_refused(plugin: ModuleType):
    with pytest.raises(NotExportable, match=r"Part2.Inside: it is not at the top"):
        excerpt([plugin.Part2.Inside], {})


def test_a_class_without_source_is_refused():
    made = type("Made", (nn.Module,), {"__module__": "nowhere"})
    with pytest.raises(NotExportable, match="Made: no source for nowhere"):
        excerpt([made], {})


def test_two_things_of_one_name_are_refused(plugin: ModuleType):
    with pytest.raises(
        NotExportable, match=r"'Part' is export_plugin\.Part and also the file's own"
    ):
        excerpt([plugin.Whole], {"Part": "the file's own"})


def test_one_class_may_come_from_two_files(plugin: ModuleType, tmp_path: Path):
    with module("export_plugin_again", PLUGIN, tmp_path) as again:
        assert excerpt([plugin.Whole, again.Part], {}) == excerpt([plugin.Whole], {})


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("Part", "channels, 1)", "channels, 3)"), ("SCALE", "= math.pi", "= math.e")],
)
def test_two_classes_of_one_name_that_differ_or_use_what_differs_are_refused(
    name: str, old: str, new: str, plugin: ModuleType, tmp_path: Path
):
    with (
        module(f"export_plugin_{name}", PLUGIN.replace(old, new), tmp_path) as other,
        pytest.raises(NotExportable, match=rf"Part: '{name}' is .*_{name}\.{name} and also"),
    ):
        excerpt([plugin.Whole, other.Part], {})


def test_a_stage_of_torch_itself_is_refused():
    with pytest.raises(NotExportable, match="Conv2d"):
        arguments(nn.Conv2d(3, 3, 1))


def test_arguments_are_read_off_the_attributes(plugin: ModuleType):
    assert arguments(plugin.Whole(3, widths=[1, 2])) == {"channels": "3", "widths": "[1, 2]"}


def test_a_forgotten_argument_is_named_with_its_class(plugin: ModuleType):
    with pytest.raises(NotExportable, match=r"Forgetful: it does not keep .* 'channels'"):
        arguments(plugin.Forgetful(3))


def test_a_class_with_any_number_of_arguments_is_refused(plugin: ModuleType):
    with pytest.raises(NotExportable, match=r"Variadic: it is built with '\*channels"):
        arguments(plugin.Variadic(3))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, torch.float32, nn.ReLU()])
def test_a_value_that_cannot_be_written_is_named(plugin: ModuleType, value: object):
    with pytest.raises(NotExportable, match=r"Keeper: 'value' is .* not a plain value"):
        arguments(plugin.Keeper(value))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(plain)
def test_a_plain_value_comes_back_as_it_was_written(value: object):
    back = eval(literal(value))
    assert back == value
    assert type(back) is type(value)
