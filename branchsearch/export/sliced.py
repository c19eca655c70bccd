"""The part of a network that serves some of its tasks."""

from collections.abc import Collection
from copy import deepcopy

from torch import nn

from branchsearch.model.branched import BranchedNetwork, BranchedStage
from branchsearch.tree import Tree


def sliced(network: BranchedNetwork, tasks: Collection[str]) -> BranchedNetwork:
    """Copy the branches and heads that some tasks use, and nothing else.

    >>> from torch import nn
    >>> class Head(nn.Conv2d):
    ...     def forward(self, features, size):
    ...         return super().forward(features)
    >>> tree = Tree.parse("a+b+c > a+b,c")
    >>> stages = [nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)]
    >>> network = BranchedNetwork(tree, stages, {task: Head(4, 1, 1) for task in tree.tasks})
    >>> str(sliced(network, ["a", "b"]).tree)
    'a+b > a+b'

    Args:
        network: Not changed.
        tasks: Some of its tasks, at least one.

    Raises:
        ValueError: A task is not one of the network's, or there is none.
    """
    tree = network.tree
    if strangers := sorted(set(tasks) - set(tree.tasks)):
        raise ValueError(f"no tasks {strangers} in a network of {', '.join(tree.tasks)}")
    if not tasks:
        raise ValueError(f"name at least one of {', '.join(tree.tasks)}")
    kept = [column for column, task in enumerate(tree.tasks) if task in tasks]
    rows = [[row[column] for column in kept] for row in tree.branches]
    smaller = Tree.from_labels([tree.tasks[column] for column in kept], rows)
    stages: list[nn.ModuleList] = []
    for row, stage in zip(rows, network.stages, strict=True):
        assert isinstance(stage, BranchedStage)  # ModuleList does not say what it holds
        stages.append(nn.ModuleList(deepcopy(stage.copies[b]) for b in dict.fromkeys(row)))
    heads = dict(zip(tree.tasks, network.heads, strict=True))
    made = BranchedNetwork(
        smaller,
        [copies[0] for copies in stages],
        {task: heads[task] for task in smaller.tasks},
    )
    for stage, copies in zip(made.stages, stages, strict=True):
        assert isinstance(stage, BranchedStage)
        stage.copies = copies
    return made.train(network.training)
