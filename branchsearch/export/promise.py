"""What an exported network promises: the proof holds it to that, and the card tells it."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

import torch

from branchsearch.export.names import Names
from branchsearch.export.parts import parts
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.cost import cost_table, network_cost
from branchsearch.model.heads import reads_path
from branchsearch.space.cost import Cost
from branchsearch.task import Task
from branchsearch.tree import Tree

#: By kind of task: how to read a prediction.
MEANINGS = {
    "classification": "a score per class; argmax over dimension 1 is the class",
    "attributes": "log-odds of each attribute; sigmoid makes them probabilities",
    "regression": "numbers, in the unit of the labels that it was trained on",
    "segmentation": "a score per class; argmax over dimension 1 is the class",
    "depth": "distance, or its natural logarithm: as the labels that it was trained on",
    "normals": "surface normal, of any length: x right, y up, z towards the camera",
    "edges": "log-odds of an edge; sigmoid makes it a probability",
    "saliency": "log-odds that a pixel stands out; sigmoid makes it a probability",
    "keypoints": "heat of each keypoint, about 0 to 1; it is where its map is highest",
}


@dataclass(frozen=True, slots=True)
class Promise:
    """What whoever loads the folder may rely on.

    Attributes:
        tree: Which of the T tasks share which stage.
        tasks: The T tasks, in the tree's order.
        size: Height and width, in pixels, of the images that the network was trained on.
        mean: Of the colours (R, G, B) that the network was trained on, in [0, 1].
        std: Their standard deviation, in [0, 1].
        shapes: One per task: its prediction's shape behind the batch, for an image of that size.
        cost: Of the whole network, on one image of that size.
        apart: What a network of its own for each task would cost together.
        reads_path: One per task: whether its head reads every stage on its way, not the last alone.
        names: By task, where they are known: what its channels are called.

    Raises:
        ValueError: The tasks are not the tree's; a prediction has not the channels its task asks
            for, or not as many as are named; or a size, mean or deviation that cannot be.
    """

    tree: Tree
    tasks: tuple[Task, ...]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shapes: tuple[tuple[int, ...], ...]
    cost: Cost
    apart: Cost
    reads_path: tuple[bool, ...]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for task, shape in zip(self.tasks, self.shapes, strict=True):
            if shape[:1] != (task.outputs,):
                raise ValueError(
                    f"task {task.name!r} has {task.outputs} outputs, but its head gives {shape}"
                )
            if len(named := self.names.get(task.name, ())) not in (0, task.outputs):
                raise ValueError(
                    f"task {task.name!r} has {task.outputs} outputs, but {len(named)} are named"
                )

    @classmethod
    def of(
        cls,
        network: BranchedNetwork,
        *,
        tasks: Sequence[Task],
        size: tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
        names: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> Self:
        """Read a network's promises off it, without running it on real data."""
        named = {task.name: task for task in tasks}
        if len(named) != len(tasks) or named.keys() != set(network.tree.tasks):
            raise ValueError(
                f"tasks {[task.name for task in tasks]} are not those of {network.tree}"
            )
        if min(size) < 1 or len(size) != 2:
            raise ValueError(f"size is the images' height and width in pixels, got {size}")
        if not len(mean) == len(std) == 3 or not all(map(math.isfinite, [*mean, *std])):
            raise ValueError(f"mean and std are three numbers (R, G, B), got {mean} and {std}")
        if min(std) <= 0:
            raise ValueError(f"std divides the colours and must be positive, got {std}")
        ghost = deepcopy(network).to("meta").eval()
        with torch.no_grad():
            predictions = ghost(torch.empty(1, 3, *size, device="meta"))
        of_parts, modules = Names.of(network.tree), parts(ghost)
        stages = [modules[branches[0]] for branches in of_parts.stages]
        heads = {task: modules[name] for task, name in of_parts.heads.items()}
        table = cost_table(stages, heads, size)
        return cls(
            tree=network.tree,
            tasks=tuple(named[task] for task in network.tree.tasks),
            size=(int(size[0]), int(size[1])),
            mean=tuple(map(float, mean)),
            std=tuple(map(float, std)),
            shapes=tuple(tuple(predictions[task].shape[1:]) for task in network.tree.tasks),
            cost=network_cost(network, size),
            apart=table.of(Tree.share_none(network.tree.tasks, len(stages))),
            reads_path=tuple(map(reads_path, network.heads)),
            names={task: tuple(names[task]) for task in named if names.get(task)},
        )

    def tasks_as_json(self) -> list[dict[str, Any]]:
        """Every task: what it is, what is predicted, and which modules do it."""
        names = Names.of(self.tree)
        return [
            {
                "name": task.name,
                "kind": task.kind,
                "metric": task.metric,
                "direction": task.direction,
                "classes": task.classes,
                "count": task.count,
                "weight": task.weight,
                "outputs": task.outputs,
                "shape": ["batch", *shape],
                "meaning": MEANINGS[task.kind],
                "names": list(self.names[task.name]) if task.name in self.names else None,
                "head": {
                    "name": task.head_or_default.name,
                    "args": dict(task.head_or_default.args),
                    "module": names.heads[task.name],
                    "reads": "path" if reads else "last",
                },
                "path": [
                    stage[row[column]]
                    for stage, row in zip(names.stages, self.tree.branches, strict=True)
                ],
            }
            for column, (task, shape, reads) in enumerate(
                zip(self.tasks, self.shapes, self.reads_path, strict=True)
            )
        ]

    def shape_text(self, task: Task) -> str:
        """A prediction's shape, for any batch and, where it follows the image, any size."""
        outputs, *rest = self.shapes[self.tasks.index(task)]
        follows = tuple(rest) == self.size
        return (
            f"[{', '.join(['batch', str(outputs), *(['H', 'W'] if follows else map(str, rest))])}]"
        )
