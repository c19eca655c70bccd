"""A tree as a PyTorch module."""

from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.model.heads import read, reads_path
from branchsearch.tree import Tree


class BranchedNetwork(nn.Module):
    """One copy of a stage per branch of the tree, one head per task.

    Copies start from the same weights and train apart. A branch runs once per batch, however many
    tasks take it.

    Args:
        tree: The layout, of S stages and T tasks.
        stages: The S stages of a backbone, input side first; each takes what the one before it
            gives. They are copied, never changed.
        heads: One module per task of the tree, from features and the image's (height, width) to
            the prediction, see ``branchsearch.model.heads``. They are copied, never changed.

    Raises:
        ValueError: There is not one stage per row of the tree, or not one head per task.
    """

    def __init__(
        self, tree: Tree, stages: Sequence[nn.Module], heads: Mapping[str, nn.Module]
    ) -> None:
        super().__init__()
        if len(stages) != len(tree.branches) or heads.keys() != set(tree.tasks):
            raise ValueError(f"{len(stages)} stages and heads {sorted(heads)} do not fit {tree}")
        self.tree = tree
        self.stages = nn.ModuleList(
            BranchedStage(stage, tree.parents(number)) for number, stage in enumerate(stages)
        )
        # by number: a ModuleDict refuses names with a dot, and a task may have one
        self.heads = nn.ModuleList(deepcopy(heads[task]) for task in tree.tasks)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        """Predict every task; the tensors' shapes are the heads' own."""
        features = [images]
        paths: list[list[Tensor]] = [[] for _ in self.tree.tasks]
        for stage, branches in zip(self.stages, self.tree.branches, strict=True):
            features = stage(features)
            for path, branch, head in zip(paths, branches, self.heads, strict=True):
                # what no head reads may be forgotten
                path[:] = [*path, features[branch]] if reads_path(head) else [features[branch]]
        size = images.shape[-2:]
        taken = zip(self.tree.tasks, self.heads, paths, strict=True)
        return {task: head(read(head, path), size) for task, head, path in taken}

    def average_gradients(self) -> None:
        """Divide each shared copy's gradients by the number of tasks that use it.

        The sum of n tasks' gradients makes a learning rate tuned for one task n times too big. The
        parameters' gradients are scaled, not the features': those would compound over the stages.
        """
        for number, stage in enumerate(self.stages):
            assert isinstance(stage, BranchedStage)  # ModuleList does not say what it holds
            for members, copy in zip(self.tree.members(number), stage.copies, strict=True):
                gradients = [p.grad for p in copy.parameters() if p.grad is not None]
                if len(members) > 1 and gradients:
                    torch._foreach_div_(gradients, len(members))  # all at once: few kernels


class BranchedStage(nn.Module):
    """One copy of a stage per entry of ``parents``, each fed by that branch of the stage above."""

    def __init__(self, stage: nn.Module, parents: Sequence[int]) -> None:
        super().__init__()
        self.copies = nn.ModuleList(deepcopy(stage) for _ in parents)
        self.parents = tuple(parents)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """From the features of the branches above to those of the branches here."""
        return [
            copy(features[parent]) for copy, parent in zip(self.copies, self.parents, strict=True)
        ]
