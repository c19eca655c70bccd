import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from branchsearch import catalog
from branchsearch.backbones.chain import NotCuttable
from branchsearch.backbones.fx_module import fx_module
from branchsearch.export.classes import arguments, excerpt

OWN = """
import math

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv = nn.Conv2d(before, channels, 3, stride, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.skip = nn.Conv2d(before, channels, 1, stride)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)) + self.skip(x))


class Net(nn.Module):
    def __init__(self, width=4, classes=3):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, padding=1), nn.ReLU(inplace=True))
        self.one, self.two = Block(width, 2 * width, 2), Block(2 * width, 3 * width, 1)
        self.scale = nn.Parameter(torch.ones(3 * width, 1, 1))
        self.classes = nn.Linear(3 * width, classes)

    def forward(self, x):
        x = self.two(self.one(self.stem(x))) * self.scale
        return self.classes(x.mean((2, 3)))


class Skipping(Net):
    def forward(self, x):
        one = self.one(self.stem(x))
        return torch.cat([self.two(one), one], 1)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.conv(self.conv(x).relu())


class InPlace(Net):
    def forward(self, x):
        return self.two(self.one(self.stem(x)).mul_(2))


class Softer(Net):
    def forward(self, x):
        return torch.nn.functional.gelu(self.two(self.one(self.stem(x) * self.scale[:4])))


class Strange(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 3, 1)
        self.two = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 1))

    def forward(self, x):
        return self.two(self.one(x))


class Drops(Net):
    def forward(self, x):
        x = nn.functional.dropout(self.stem(x), 0.5, self.training)
        return torch.dropout(self.two(self.one(x)), 0.25, self.training)


class Scaled(Net):
    def forward(self, x):
        x = self.stem(x) * torch.tensor([2.0])
        return self.two(self.one(x)) * (1.0 if self.training else 0.5)


class Noisy(Net):
    def forward(self, x):
        x = self.one(self.stem(x))
        return self.two(x + torch.rand_like(x)) if self.training else self.two(x)


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.a_b = nn.Module(), nn.Module()
        self.a.b_c = nn.Conv2d(3, 4, 1)
        self.a_b.c = nn.Conv2d(4, 5, 1)
        self.layer_0, self.layer = nn.Conv2d(5, 6, 1), nn.Sequential(nn.Conv2d(6, 7, 1))
        self.add_module("block1-0", nn.Conv2d(7, 8, 1))

    def forward(self, x):
        x = self.layer(self.layer_0(self.a_b.c(self.a.b_c(x))))
        return self.get_submodule("block1-0")(x)


class Tied(Net):
    def __init__(self):
        super().__init__(width=3)
        self.one, self.two = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(self.one(self.stem(x)))


class Unit(nn.Module):
    # its addition sees what relu has done in place

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.conv(self.relu(x)) + x


class Units(Net):
    def __init__(self):
        super().__init__()
        self.one, self.two = Unit(4), Unit(4)

    def forward(self, x):
        return self.two(self.one(self.stem[0](x)))


class DropsInPlace(Net):
    def forward(self, x):
        x = nn.functional.dropout(self.one(self.stem(x)), 0.5, self.training, True)
        return self.two(x)


class Pools(Net):
    def __init__(self, **arguments):
        super().__init__()
        self.two = nn.AvgPool2d(3, 2, 1, **arguments)

    def forward(self, x):
        return self.two(self.one(self.stem(x)))


class TiedNorms(Net):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.GroupNorm(2, 4), nn.GroupNorm(2, 4)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(self.one(self.stem(x)))


class Masked(Net):
    def forward(self, x, mask=None, scale=2.0):
        x = self.stem(x) * scale
        return self.two(self.one(x if mask is None else x * mask))


class Needs(Net):
    def forward(self, x, mask):
        return self.two(self.one(self.stem(x) * mask))


class Offset(Net):
    def __init__(self, offset=1.0):
        super().__init__()
        self.register_buffer("offset", torch.tensor([offset]))

    def forward(self, x):
        return self.two(self.one(self.stem(x) + self.offset))


class Rounds(Net):
    def forward(self, x):
        x = self.stem(x)
        return self.one(x) * math.floor(x.mean())


class Depends(Net):
    def forward(self, x):
        return self.stem(x) if x.sum() > 0 else x


def number():
    return 3
"""
FEATURES = {"cuts": ["stem", "one"], "output": "mul"}


@pytest.fixture(scope="module", autouse=True)
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A module of somebody's own, on the path."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_nets.py").write_text(OWN)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    sys.modules.pop("own_nets", None)


def test_stages_composed_are_the_module_and_say_what_they_give(tmp_path: Path):
    from own_nets import Net

    torch.manual_seed(0)
    whole = Net().eval()
    save_file(whole.state_dict(), tmp_path / "own.safetensors")
    found = catalog.find("backbone", "fx:own_nets:Net")
    backbone = found(**FEATURES, weights=str(tmp_path / "own.safetensors"))
    images = torch.rand(2, 3, 16, 32)
    with torch.no_grad():
        features = images
        for stage in backbone.stages:
            before = features.clone()
            given, features = features, stage.module.eval()(features)
            assert torch.equal(given, before)
            height, width = 16 // stage.stride, 32 // stage.stride
            assert features.shape == (2, stage.channels, height, width)
        classes = whole.classes(features.mean((2, 3)))
        torch.testing.assert_close(classes, whole(images), rtol=0, atol=1e-6)
    names = [name for module in backbone.modules for name, _ in module.named_parameters()]
    assert len(names) == len(list(whole.parameters())) - len(list(whole.classes.parameters()))


def test_copies_of_a_stage_train_apart():
    module = fx_module("own_nets:Net", **FEATURES).modules[1]
    copy = deepcopy(module)
    for weight in copy.parameters():
        nn.init.zeros_(weight)
    assert all(weight.any() for name, weight in module.named_parameters() if "weight" in name)


def test_nodes_inside_a_module_can_be_cut_where_nothing_goes_around():
    backbone = fx_module("own_nets:Net", cuts=["stem_0"], output="two", arguments={"width": 6})
    assert [(stage.channels, stage.stride) for stage in backbone.stages] == [(6, 2), (18, 4)]


def test_a_relu_in_place_does_not_change_what_its_siblings_read():
    stem, relu = fx_module("own_nets:Net", cuts=["stem_0"], output="stem_1").modules
    with torch.no_grad():
        features = stem(torch.randn(1, 3, 8, 8))
        before = features.clone()
        relu(features)
    assert torch.equal(features, before)


@pytest.mark.parametrize("cuts", [["stem_0"], ["one"], ["stem_0", "one"]])
def test_what_a_relu_in_place_has_changed_is_seen_by_those_behind_it_alone(cuts: list[str]):
    from own_nets import Units

    backbone = seeded(lambda: fx_module("own_nets:Units", cuts=cuts))
    whole, images = seeded(Units), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        features = images
        for module in backbone.modules:
            before, given = features.clone(), features
            features = module(given)
            assert torch.equal(given, before)
        assert torch.equal(features, whole(images))


def test_arguments_that_a_module_does_not_show_are_written():
    kinds = [{"count_include_pad": False}, {"ceil_mode": True}, {}]
    images, contents = torch.rand(1, 3, 20, 20), set()
    for kind in kinds:
        backbone = fx_module("own_nets:Pools", cuts=["one"], arguments=kind)
        stage = backbone.modules[1]
        features = backbone.modules[0](images)
        assert torch.equal(type(stage)()(features), stage(features))
        contents.add(backbone.content)
    assert len(contents) == len(kinds)


def test_arguments_beside_the_images_are_at_their_defaults():
    from own_nets import Masked

    backbone = seeded(lambda: fx_module("own_nets:Masked", cuts=["stem"]))
    whole, images = seeded(Masked), torch.rand(2, 3, 16, 16)
    features = images
    for module in backbone.modules:
        features = module(features)
    torch.testing.assert_close(features, whole(images))


def test_other_values_give_other_content_and_the_same_the_same():
    contents = [
        fx_module("own_nets:Offset", cuts=["stem"], arguments={"offset": offset}).content
        for offset in (1.0, 1.0, 2.0)
    ]
    assert contents[0] == contents[1] != contents[2]


def seeded(make: Callable[[], Any]) -> Any:  # noqa: ANN401  # what it makes
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


def test_the_source_of_a_stage_stands_alone_and_builds_it_again():
    stages = fx_module("own_nets:Softer", cuts=["stem", "one"]).modules
    found = excerpt(dict.fromkeys(map(type, stages)), {})
    assert {one.root for one in found.imports} == {"torch"}
    assert list(found.definitions) == ["SofterStage0", "SofterStage1", "SofterStage2"]
    features = torch.rand(1, 3, 16, 16)
    for stage in stages:
        again = type(stage)(**arguments(stage))
        again.load_state_dict(stage.state_dict())
        with torch.no_grad():
            expected = stage.eval()(features)
            assert torch.equal(again.eval()(features), expected)
        features = expected


def test_what_depends_on_training_depends_on_the_training_of_the_stage():
    stages = fx_module("own_nets:Drops", cuts=["dropout", "one"]).modules
    features = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        for stage, drops in zip(stages, (True, False, True), strict=True):
            assert stage.training
            assert torch.equal(stage(features), stage(features)) is not drops
            still = stage.eval()(features)
            assert torch.equal(still, stage(features))
            features = still
    source = excerpt(dict.fromkeys(map(type, stages)), {}).definitions["DropsStage0"]
    assert "training = self.training" in source


def test_parts_whose_names_would_become_alike_stay_apart():
    backbone = fx_module("own_nets:Named", cuts=["layer_0"])
    assert [stage.channels for stage in backbone.stages] == [6, 8]
    assert [len(list(module.children())) for module in backbone.modules] == [3, 2]
    (whole,) = fx_module("own_nets:Named", cuts=[]).modules
    assert [conv.out_channels for conv in whole.children()] == [4, 5, 6, 7, 8]  # type: ignore[union-attr]
    again = type(whole)()
    again.load_state_dict(whole.state_dict())
    images = torch.rand(1, 3, 4, 4)
    assert torch.equal(again(images), whole(images))


@pytest.mark.parametrize(
    ("net", "args", "told"),
    [
        ("Net", {"cuts": ["one.conv"]}, r"behind 'one_conv': around it go stem_1 \(to one_skip\)"),
        ("Skipping", {"cuts": ["two"]}, r"behind 'relu_1': around it go relu \(to cat\)"),
        ("Net", {"cuts": ["three"]}, "no node 'three'; there are stem_0, stem_1, one_conv"),
        ("Net", {"cuts": ["one", "stem"], "output": "two"}, "not in the order"),
        ("Net", {"cuts": ["stem"]}, "neither a map nor tokens"),
        ("Twice", {"cuts": ["relu"]}, "two stages use the weights of 'conv.weight'"),
        ("Tied", {"cuts": ["one"]}, "the weights of 'one.weight' and 'two.weight'"),
        ("Scaled", {"cuts": ["stem"]}, "what 'mul_1' does in training and in evaluation differs"),
        ("Noisy", {"cuts": ["stem"]}, "what 'rand_like' does in training and in evaluation"),
        ("InPlace", {"cuts": ["one"]}, "stage 1 changes in place"),
        ("DropsInPlace", {"cuts": ["one"]}, "stage 1 changes in place"),
        ("TiedNorms", {"cuts": ["stem"]}, "'one.weight' and 'two.weight' are one weight"),
        ("Needs", {"cuts": ["stem"]}, "own_nets:Needs takes 'mask' beside the images"),
        ("Strange", {"cuts": ["one"]}, "'part_two' cannot be written down as it shows itself"),
        ("Rounds", {"cuts": ["stem"]}, r"with torch alone: \['math_floor'\]"),
        ("Depends", {"cuts": ["stem"]}, "torch.fx cannot trace fx:own_nets:Depends"),
    ],
)
def test_what_cannot_be_cut_is_named(net: str, args: dict[str, object], told: str):
    with pytest.raises(NotCuttable, match=told):
        fx_module(f"own_nets:{net}", **args)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "args", "told"),
    [
        ("own_nets", {}, "fx:package.module:factory"),
        ("no_such_package.nets:Net", {}, "no_such_package"),
        ("own_nets:Nest", {}, "Nest"),
        ("own_nets:number", {}, "gives int, not a torch module"),
        ("own_nets:Net", {"arguments": {"depth": 3}}, "does not take {'depth': 3}"),
    ],
)
def test_what_cannot_be_made_is_named(target: str, args: dict[str, object], told: str):
    with pytest.raises(ValueError, match=told):
        fx_module(target, cuts=[], **args)  # type: ignore[arg-type]
