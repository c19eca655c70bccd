from pathlib import Path
from tempfile import TemporaryDirectory

import safetensors.torch
import torch
from hypothesis import given, settings

from branchsearch import catalog
from branchsearch.backbones.resnet import ResidualStage, resnet
from branchsearch.export.description import describe, promised
from branchsearch.export.folder import export
from branchsearch.export.learning import UNKNOWN
from branchsearch.export.parts import exported_state
from branchsearch.export.promise import MEANINGS, Promise
from branchsearch.export.proof import prove, question
from branchsearch.export.source import model_source
from branchsearch.jobs.training import build_heads
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import FPNHead, gives_map
from branchsearch.task import KINDS, Head, Task
from branchsearch.tree import Tree
from tests.generators import trees
from tests.tasks import task_of
from tests.test_export_source import (
    HOUSE_RULES,
    MEAN,
    SIZE,
    STD,
    images,
    imported,
    mypy,
    normalised,
    ruff,
)

SMALL = {"aspp": {"width": 3, "rates": [1, 2]}, "fpn": {"width": 3}}
HEADS = [Head(name, SMALL.get(name, {})) for name in catalog.names("head")]


def tasks_of(tree: Tree) -> list[Task]:
    """A task for every head in turn, of a kind that it predicts."""
    tasks = []
    for number, name in enumerate(tree.tasks):
        head = HEADS[number % len(HEADS)]
        is_map = gives_map(catalog.find("head", head.name))
        kinds = [kind for kind, known in KINDS.items() if known.is_map == is_map]
        tasks.append(task_of(kinds[number % len(kinds)], name=name, head=head))
    return tasks


def network_of(tree: Tree) -> BranchedNetwork:
    backbone = resnet(channels=[4 + stage for stage in range(len(tree.branches))])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        heads = build_heads(backbone, tuple(tasks_of(tree)))
        network = BranchedNetwork(tree, backbone.modules, heads)
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.2 * torch.rand(tensor.shape)  # no two copies alike
    return network.eval()


def promise_of(network: BranchedNetwork) -> Promise:
    return Promise.of(network, tasks=tasks_of(network.tree), size=SIZE, mean=MEAN, std=STD)


def write(network: BranchedNetwork, folder: Path) -> None:
    source = model_source(network, promise_of(network))
    (folder / "model.py").write_text(source, encoding="utf-8")
    safetensors.torch.save_file(exported_state(network), folder / "weights.safetensors")


FOUR = Tree.parse("a+b+c+d > a+b,c+d > a,b,c,d")


def test_every_kind_says_how_its_predictions_are_read():
    assert MEANINGS.keys() == KINDS.keys()


@settings(max_examples=5, deadline=None)
@given(trees(max_tasks=6, max_stages=3))
def test_an_exported_network_predicts_what_the_searched_one_does(tree: Tree):
    network = network_of(tree)
    with TemporaryDirectory() as folder, torch.no_grad():
        write(network, Path(folder))
        model = imported(Path(folder))
        expected = network(normalised(images(2)))
        given = model.load()(model.prepare(images(2)))
        for task in tree.tasks:
            torch.testing.assert_close(given[task], expected[task], rtol=0, atol=0)


@settings(max_examples=5, deadline=None)
@given(trees(max_tasks=6, max_stages=3))
def test_source_is_formatted_and_keeps_the_rules_of_this_house(tree: Tree):
    network = network_of(tree)
    source = model_source(network, promise_of(network))
    ruff(source, "format", "--check")
    ruff(source, "check", f"--select={HOUSE_RULES}", "--ignore=D105,D107")


@settings(max_examples=3, deadline=None)
@given(trees(max_tasks=6, max_stages=4))
def test_any_tree_is_exported_and_proven(tree: Tree):
    with TemporaryDirectory() as place:
        network, to = network_of(tree), Path(place) / "net"
        export(to, network=network, tasks=tasks_of(tree), size=SIZE, mean=MEAN, std=STD, facts={})
        assert (to / "tree.txt").read_text() == f"{tree}\n"


def test_twenty_stages_stay_legible():
    names = ["a-task-with-a-long-name", "another-task-with-a-long-name"]
    tree = Tree.from_labels(names, [[0, 0]] * 10 + [[0, 1]] * 10)
    stages = [ResidualStage(3, 3, 1, 1) for _ in tree.branches]
    heads = {name: FPNHead([3] * 20, 1, width=2) for name in names}
    network = BranchedNetwork(tree, stages, heads)
    tasks = [task_of("depth", name=name) for name in names]
    promise = Promise.of(network, tasks=tasks, size=SIZE, mean=MEAN, std=STD)
    source = model_source(network, promise)
    ruff(source, "format", "--check")


def test_heads_of_every_sort_are_proven_and_typed(tmp_path: Path):
    folder, work = tmp_path / "folder", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    network = network_of(FOUR)
    write(network, folder)
    promise = promise_of(network)
    described = describe(promise, facts={}, learning=UNKNOWN, graphs=[], others=[])
    measured = prove(folder, promised(described), question(network, promise), work=work)
    assert measured["outputs"]["largest_relative_difference"] <= 1e-5
    mypy(folder)
