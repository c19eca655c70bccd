"""What every head of the catalog promises, for every kind of task that it predicts."""

import inspect

import pytest
import torch
from torch import Tensor, nn

from branchsearch import catalog
from branchsearch.backbones.resnet import resnet
from branchsearch.jobs.training import build_heads
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.cost import cost_table, network_cost
from branchsearch.model.heads import gives_map, reads_path
from branchsearch.task import KINDS, Head, Task
from branchsearch.tree import Tree
from tests.tasks import target_of, task_of

#: Heads of published widths would take most of the time.
SMALL = {"aspp": {"width": 4, "rates": [1, 2]}, "fpn": {"width": 4}}

PAIRS = [
    (kind, name)
    for kind, known in KINDS.items()
    for name in catalog.names("head")
    if gives_map(catalog.find("head", name)) == known.is_map
]
kinds_and_heads = pytest.mark.parametrize(("kind", "name"), PAIRS)

BACKBONE = resnet(channels=[4, 6])


def task(kind: str, name: str, called: str = "t") -> Task:
    return task_of(kind, name=called, head=Head(name, SMALL.get(name, {})))


def head(kind: str, name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_heads(BACKBONE, (task(kind, name),))["t"]


def features(images: int = 2, seed: int = 0) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(images, c, 16 // s, 16 // s, generator=draw) for c, s in ((4, 1), (6, 2))]


def predicted(one: nn.Module, path: list[Tensor]) -> Tensor:
    size = torch.Size((16, 16))
    prediction: Tensor = one(path if reads_path(one) else path[-1], size)
    return prediction


def test_every_kind_has_a_head_and_every_head_a_kind():
    assert {kind for kind, _ in PAIRS} == set(KINDS)
    assert {name for _, name in PAIRS} == set(catalog.names("head"))
    for kind in KINDS:
        assert (kind, KINDS[kind].head) in PAIRS


@kinds_and_heads
def test_a_head_gives_what_the_kinds_loss_takes(kind: str, name: str):
    prediction = predicted(head(kind, name), features())
    target = target_of(kind, images=2)
    outputs = task(kind, name).outputs
    assert prediction.shape == ((2, outputs, 16, 16) if KINDS[kind].is_map else (2, outputs))
    assert catalog.find("loss", KINDS[kind].loss)(prediction, target).isfinite()


@kinds_and_heads
def test_training_reaches_every_weight_of_a_head(kind: str, name: str):
    one = head(kind, name)
    loss = catalog.find("loss", KINDS[kind].loss)(
        predicted(one, features()), target_of(kind, images=2)
    )
    loss.backward()
    assert all(weight.grad.isfinite().all() for weight in one.parameters())
    assert all(weight.grad.abs().sum() > 0 for weight in one.parameters() if weight.dim() > 1)


@kinds_and_heads
def test_images_do_not_see_each_other_when_a_head_is_judged(kind: str, name: str):
    one = head(kind, name).eval()
    both = predicted(one, features())
    for image in range(2):
        alone = predicted(one, [maps[image : image + 1] for maps in features()])
        torch.testing.assert_close(both[image : image + 1], alone)


@kinds_and_heads
def test_a_head_leaves_what_it_reads_as_it_is(kind: str, name: str):
    path = features()
    predicted(head(kind, name), path)
    for maps, before in zip(path, features(), strict=True):
        assert torch.equal(maps, before)


@kinds_and_heads
def test_a_head_runs_under_bfloat16(kind: str, name: str):
    with torch.autocast("cpu", torch.bfloat16):
        prediction = predicted(head(kind, name), features())
    loss = catalog.find("loss", KINDS[kind].loss)(prediction, target_of(kind, images=2))
    assert loss.dtype is torch.float32
    assert loss.isfinite()


@kinds_and_heads
def test_costs_of_a_tree_with_the_head_add_up_exactly(kind: str, name: str):
    tree = Tree.parse("a+b+c > a+b,c")
    heads = build_heads(BACKBONE, tuple(task(kind, name, called) for called in tree.tasks))
    table = cost_table(BACKBONE.modules, heads, (16, 16))
    network = BranchedNetwork(tree, BACKBONE.modules, heads)
    assert table.of(tree) == network_cost(network, (16, 16))


@pytest.mark.parametrize("name", catalog.names("head"))
def test_arguments_of_its_own_are_named_and_have_defaults(name: str):
    first, outputs, *own = inspect.signature(catalog.find("head", name)).parameters.values()
    path = reads_path(catalog.find("head", name))
    assert (first.name, outputs.name) == ("channels" if path else "in_channels", "outputs")
    assert all(one.kind is one.KEYWORD_ONLY and one.default is not one.empty for one in own)
