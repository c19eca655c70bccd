"""An exported network brought back: as a network to train, extend, search from or export again."""

import hashlib
import linecache
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import safetensors.torch
import torch
from torch import nn

from branchsearch.backbones.operators import declare_missing
from branchsearch.export.description import read_description
from branchsearch.export.licence import RIGHTS
from branchsearch.export.names import Names
from branchsearch.model.branched import BranchedNetwork, BranchedStage
from branchsearch.task import Direction, Head, Task
from branchsearch.tree import Tree


@dataclass(frozen=True)
class Imported:
    """An exported network and what is known of it.

    Attributes:
        network: On the CPU, ready to predict, with the exported weights.
        tasks: What it predicts, in the tree's order.
        size: Height and width of the images it was trained on, in pixels.
        mean: Of their colours (R, G, B), in [0, 1].
        std: Their standard deviation, in [0, 1].
        described: All of ``model.json``, of the folder that it comes from.
    """

    network: BranchedNetwork
    tasks: tuple[Task, ...]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    described: Mapping[str, Any]


def load_export(folder: Path) -> Imported:
    """Bring an exported network back. Runs the ``model.py`` in the folder, as its user does.

    Raises:
        NotAnExport: There is no exported network, or one of another version.
    """
    described = read_description(folder)
    tree, tasks = Tree.parse(described["tree"]), tuple(map(_task, described["tasks"]))
    with torch.random.fork_rng():  # building draws weights that are thrown away
        built = _module(folder).BranchedNet()
    safetensors.torch.load_model(built, folder / "weights.safetensors")
    names = Names.of(tree)
    network = BranchedNetwork(
        tree,
        [getattr(built, stage[0]) for stage in names.stages],
        {task: getattr(built, head) for task, head in names.heads.items()},
    )
    for stage, branches in zip(network.stages, names.stages, strict=True):
        assert isinstance(stage, BranchedStage)  # ModuleList does not say what it holds
        stage.copies = nn.ModuleList(getattr(built, branch) for branch in branches)
    given = described["input"]
    return Imported(
        network=network.eval(),
        tasks=tasks,
        size=(given["height"], given["width"]),
        mean=tuple(given["mean"]),
        std=tuple(given["std"]),
        described=described,
    )


def extended(
    imported: Imported, task: Task, head: nn.Module, *, beside: str, shared: int
) -> Imported:
    """Give a network one more task, to be trained from what it has learnt.

    Args:
        imported: Not changed.
        task: The new one.
        head: From features to its prediction; copied.
        beside: The task whose branches the new one goes along, and whose weights its own branches
            start from.
        shared: For how many stages; from there it has branches of its own.

    Returns:
        The larger network with all its tasks, and the rest as it was.

    Raises:
        ValueError: There is no task ``beside``, there is one called as the new one, or not so many
            stages.
    """
    tree = imported.network.tree
    fits = 0 <= shared <= len(tree.branches)
    if beside not in tree.tasks or task.name in tree.tasks or not fits:
        raise ValueError(
            f"cannot put {task.name!r} beside {beside!r} for {shared} of {len(tree.branches)} "
            f"stages: the tasks are {', '.join(tree.tasks)}"
        )
    network = _with_head(imported.network, task.name, head, beside=beside, shared=shared)
    tasks = {one.name: one for one in (*imported.tasks, task)}
    return replace(imported, network=network, tasks=tuple(tasks[n] for n in network.tree.tasks))


def _with_head(
    network: BranchedNetwork, task: str, head: nn.Module, *, beside: str, shared: int
) -> BranchedNetwork:
    tree = network.tree
    column = tree.tasks.index(beside)
    rows = [
        [*row, row[column] if stage < shared else len(set(row))]
        for stage, row in enumerate(tree.branches)
    ]
    larger = Tree.from_labels([*tree.tasks, task], rows)
    heads = {**dict(zip(tree.tasks, network.heads, strict=True)), task: head}
    made = BranchedNetwork(larger, [_copies(stage)[0] for stage in network.stages], heads)
    for old_row, row, stage, old in zip(
        tree.branches, larger.branches, made.stages, network.stages, strict=True
    ):
        assert isinstance(stage, BranchedStage)
        # by branch of the larger tree, one that it comes from: of any of its tasks, or of beside
        of_task = dict(zip(tree.tasks, old_row, strict=True))
        from_ = {
            branch: of_task.get(name, of_task[beside])
            for name, branch in reversed(list(zip(larger.tasks, row, strict=True)))
        }
        stage.copies = nn.ModuleList(
            deepcopy(_copies(old)[from_[branch]]) for branch in range(len(from_))
        )
    return made.train(network.training)


def _copies(stage: nn.Module) -> nn.ModuleList:
    assert isinstance(stage, BranchedStage)  # ModuleList does not say what it holds
    return stage.copies


def _task(described: Mapping[str, Any]) -> Task:
    head = described["head"]
    return Task(
        described["name"],
        described["kind"],
        described["metric"],
        Direction(described["direction"]),
        classes=described["classes"],
        count=described["count"],
        weight=described["weight"],
        head=Head(head["name"], head["args"]),
    )


def _module(folder: Path) -> ModuleType:
    """A folder's model.py under a name of its own, with its source: so it can be exported again.

    What the folder says of rights goes with it, see ``branchsearch.export.licence``.
    """
    source = (folder / "model.py").read_text(encoding="utf-8")
    rights = (folder / "LICENSE").read_text(encoding="utf-8")
    name = f"branchsearch_exported_{hashlib.sha256((source + rights).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        if "import timm" in source:
            declare_missing()
        module = ModuleType(name)
        # no file's name: what stands there may change
        module.__file__ = file = f"<{name}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        module.__dict__[RIGHTS] = rights
        sys.modules[name] = module
        try:
            exec(compile(source, file, "exec"), module.__dict__)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
