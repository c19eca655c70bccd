"""Forty tasks in a thin plain network, as face attributes are searched over."""

import json
from pathlib import Path

import torch

from branchsearch.backbones.vgg import vgg
from branchsearch.export.folder import export
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import LinearHead
from branchsearch.space.cost import Cost
from branchsearch.tree import Tree
from tests.tasks import task_of

#: Source: Y. Lu et al., "Fully-adaptive Feature Sharing in Multi-Task Networks", CVPR 2017.
WIDTHS = (1, 2, 3, 10, 18, 33, 40)
TASKS = [f"attribute_{number:02}" for number in range(40)]
CHANNELS = (4, 4, 6, 6, 8, 8, 8)


def forty() -> Tree:
    """Branches that only split, the largest first, as many as wanted at each stage."""
    branches, rows = [TASKS], []
    for width in WIDTHS:
        while len(branches) < width:
            largest = max(branches, key=len)
            branches.remove(largest)
            branches += [largest[: len(largest) // 2], largest[len(largest) // 2 :]]
        at = {task: number for number, branch in enumerate(branches) for task in branch}
        rows.append([at[task] for task in TASKS])
    return Tree.from_labels(TASKS, rows)


def test_forty_tasks_are_exported_proven_and_counted(tmp_path: Path):
    tree = forty()
    assert tree.widths == WIDTHS
    torch.manual_seed(0)
    backbone = vgg(channels=CHANNELS, convolutions=[1] * 7)
    tasks = [task_of("attributes", name=name) for name in TASKS]
    heads = {task.name: LinearHead(CHANNELS[-1], task.outputs) for task in tasks}
    network = BranchedNetwork(tree, backbone.modules, heads)
    folder = export(
        tmp_path / "net",
        network=network,
        tasks=tasks,
        size=(128, 128),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        facts={},
    )
    described = json.loads((folder / "model.json").read_text())
    before = [3, *CHANNELS[:-1]]
    stages = [9 * i * o + 2 * o for i, o in zip(before, CHANNELS, strict=True)]
    heads_count = 40 * (CHANNELS[-1] * 3 + 3)
    parameters = heads_count + sum(
        width * count for width, count in zip(tree.widths, stages, strict=True)
    )
    places = [128 // 2**stage for stage in range(7)]
    multiply_adds = 40 * CHANNELS[-1] * 3 + sum(
        width * 9 * i * o * place**2
        for width, i, o, place in zip(tree.widths, before, CHANNELS, places, strict=True)
    )
    assert described["cost"] == {"parameters": parameters, "multiply_adds": multiply_adds}
    assert Cost(**json.loads((folder / "proof.json").read_text())["cost"]) == Cost(
        parameters, multiply_adds
    )
