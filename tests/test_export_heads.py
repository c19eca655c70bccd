from pathlib import Path

import safetensors.torch
import torch

from branchsearch import catalog
from branchsearch.backbones.resnet import ResidualStage, resnet
from branchsearch.export.description import describe, promised
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
from tests.tasks import task_of
from tests.test_export_source import (
    MEAN,
    SIZE,
    STD,
    mypy,
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
