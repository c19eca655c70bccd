"""Small networks for tests."""

from collections.abc import Sequence

from torch import nn

from branchsearch.backbones.resnet import resnet
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import DenseHead
from branchsearch.tree import Tree


def small(tree: Tree, outputs: Sequence[int] | None = None) -> BranchedNetwork:
    """A thin residual network of any tree, with batch norm and heads."""
    channels = [4 + 2 * stage for stage in range(len(tree.branches))]
    outputs = outputs or [1] * len(tree.tasks)
    heads: dict[str, nn.Module] = {
        task: DenseHead(channels[-1], count)
        for task, count in zip(tree.tasks, outputs, strict=True)
    }
    return BranchedNetwork(tree, resnet(channels=channels).modules, heads)
