"""What every backbone of the catalog promises; one from an installed package as well."""

from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from branchsearch import catalog
from branchsearch.backbones.backbone import Backbone
from branchsearch.backbones.timm_stages import TimmFirstStage
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.cost import cost_table, network_cost
from branchsearch.model.footprint import activation_bytes, footprint_table
from branchsearch.model.heads import DenseHead
from branchsearch.tree import Tree
from tests.backbones import BUILT_IN, FX, TIMM, Example

EXAMPLES = [*BUILT_IN, *FX, *TIMM]


@pytest.fixture(scope="module", params=EXAMPLES, ids=str)
def example(request: pytest.FixtureRequest) -> Example:
    assert isinstance(request.param, Example)
    return request.param


@pytest.fixture(scope="module")
def backbone(example: Example) -> Backbone:
    torch.manual_seed(0)
    return example.build()


@pytest.fixture(scope="module")
def given(backbone: Backbone, example: Example) -> list[Tensor]:
    """What goes through the stages: the images, then what each stage gives."""
    return run(backbone, images(example))


def images(example: Example) -> Tensor:
    return torch.rand(2, 3, *example.size, generator=torch.Generator().manual_seed(1))


def run(backbone: Backbone, through: Tensor) -> list[Tensor]:
    given = [through]
    with torch.no_grad():
        for module in backbone.modules:
            given.append(module.eval()(given[-1]))
    return given


def test_every_family_of_the_catalog_is_tried():
    tried = {example.name.partition(":")[0] for example in EXAMPLES}
    assert tried == {name.rstrip(":") for name in catalog.names("backbone")}


def test_declared_channels_strides_and_kinds_are_true(
    backbone: Backbone, example: Example, given: list[Tensor]
):
    height, width = example.size
    for stage, found in zip(backbone.stages, given[1:], strict=True):
        rows, columns = height // stage.stride, width // stage.stride
        if stage.kind == "map":
            assert found.shape == (2, stage.channels, rows, columns)
        else:
            assert found.shape[::2] == (2, stage.channels)
            assert 0 <= found.shape[1] - rows * columns <= 5  # class tokens, registers
    assert backbone.stages[-1].kind == "map"
    strides = [stage.stride for stage in backbone.stages]
    assert all(b % a == 0 for a, b in pairwise([1, *strides]))


def test_stages_say_something_of_every_image(given: list[Tensor]):
    for found in given:
        assert found.isfinite().all()
        assert not torch.equal(found[0], found[1])


def test_a_stage_leaves_what_it_is_given_as_it_is(backbone: Backbone, given: list[Tensor]):
    for number, module in enumerate(backbone.modules):
        seen = given[number].clone()
        with torch.no_grad():
            module(seen)
        assert torch.equal(seen, given[number]), number


def test_copies_of_a_stage_are_alike_and_apart(backbone: Backbone, given: list[Tensor]):
    for number, module in enumerate(backbone.modules):
        copy = deepcopy(module)
        with torch.no_grad():
            assert torch.equal(copy(given[number]), given[number + 1])
            for parameter in copy.parameters():
                parameter.add_(1)
            assert torch.equal(module(given[number]), given[number + 1])


def test_no_two_stages_share_a_weight(backbone: Backbone):
    weights = [weight for module in backbone.modules for weight in module.parameters()]
    assert len({id(weight) for weight in weights}) == len(weights)


def test_every_weight_is_trained(backbone: Backbone, example: Example):
    stages = [deepcopy(module).train() for module in backbone.modules]
    found = images(example)
    for module in stages:
        found = module(found)
    (found * torch.rand_like(found)).sum().backward()
    untrained = [
        name
        for module in stages
        for name, weight in module.named_parameters()
        if weight.grad is None
    ]
    assert untrained == []


def test_the_same_seed_gives_the_same_weights(example: Example):
    one, other = (_seeded(example) for _ in range(2))
    for a, b in zip(one.modules, other.modules, strict=True):
        for name, value in a.state_dict().items():
            assert torch.equal(value, b.state_dict()[name])


def _seeded(example: Example) -> Backbone:
    torch.manual_seed(3)
    return example.build()


def test_costs_add_up_to_the_whole_exactly(backbone: Backbone, example: Example):
    heads = {task: DenseHead(backbone.stages[-1].channels, 1) for task in "abc"}
    tree = Tree.parse(" > ".join(["a+b+c", *["a+b,c"] * (len(backbone.stages) - 1)]))
    network = BranchedNetwork(tree, backbone.modules, heads)
    table = cost_table(backbone.modules, heads, example.size)
    assert table.of(tree) == network_cost(network, example.size)


def test_activations_add_up_to_the_whole_within_the_stated_error(
    backbone: Backbone, example: Example
):
    heads: dict[str, nn.Module] = {
        task: DenseHead(backbone.stages[-1].channels, 1) for task in "ab"
    }
    tree = Tree.parse(" > ".join(["a+b", *["a,b"] * (len(backbone.stages) - 1)]))
    cpu = torch.device("cpu")
    table = footprint_table(backbone.modules, heads, example.size, batch=1, device=cpu, repeats=1)
    network = BranchedNetwork(tree, backbone.modules, heads)
    whole = activation_bytes(network, torch.zeros(1, 3, *example.size))
    assert whole <= table.of(tree).activation_bytes <= 1.05 * whole


@pytest.mark.parametrize("example", TIMM, ids=str)
def test_stages_of_timm_composed_are_the_whole_model(example: Example):
    import timm

    built = example.build()
    first, *others = built.modules
    assert isinstance(first, TimmFirstStage)
    whole = timm.create_model(first.model, **first.arguments).eval()
    named = dict(first.body.state_dict())
    for stage in others:
        for number, part in enumerate(stage.parts):
            named |= {
                f"{part}.{name}": value for name, value in stage.body[number].state_dict().items()
            }
    fit = whole.load_state_dict(named, strict=False)
    assert fit.unexpected_keys == []
    assert all(key.startswith(tuple(first.without)) for key in fit.missing_keys)
    with torch.no_grad():
        expected = whole.forward_features(images(example))
    found = run(built, images(example))[-1]
    if expected.ndim == 3:
        expected = expected[:, -found[0, 0].numel() :].mT.reshape(found.shape)
    elif expected.shape != found.shape:
        expected = expected.permute(0, 3, 1, 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
