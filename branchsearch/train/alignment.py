"""One network's channels in the order of another's, so that averaging their weights has sense.

Networks trained apart may have learnt the same features in another order of channels. Each layer's
channels are matched with the other network's by how alike their weights are, from the input to the
output: the assignment with the largest sum of cosines. The matched network computes what it did.

Source: S. K. Ainsworth, J. Hayase and S. Srinivasa, "Git Re-Basin: Merging Models modulo
Permutation Symmetries", ICLR 2023, section 3.2; here in one pass and by each layer's incoming
weights alone.

Shape letters: C = output channels, W = weights that lead to one of them.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from branchsearch.backbones.resnet import ResidualBlock, ResidualStage
from branchsearch.model.heads import DenseHead, reads_path

#: New channel c is old channel order[c].
Order = Int[Tensor, " C"]


def align(stages: Sequence[nn.Module], head: nn.Module, reference: Sequence[nn.Module]) -> bool:
    """Reorder the channels of a chain of stages and of the head behind it, in place.

    Args:
        stages: Built like ``reference``; they and the head give what they gave before.
        head: Reads the last stage.
        reference: Whose order of channels is wanted.

    Returns:
        Whether the stages are of a kind that can be reordered; else nothing is changed.
    """
    if not all(isinstance(stage, ResidualStage) for stage in stages):
        return False
    order = torch.arange(3)  # of the image's colours
    blocks = [block for stage in stages for block in _blocks(stage)]
    theirs = [block for stage in reference for block in _blocks(stage)]
    free = _free_to_move(blocks, head)
    with torch.no_grad():
        for block, like, may_move in zip(blocks, theirs, free, strict=True):
            order = _align_block(block, like, order, may_move=may_move)
        if isinstance(head, DenseHead):
            head.hidden.weight.copy_(head.hidden.weight[:, order])
    return True


def _blocks(stage: nn.Module) -> list[ResidualBlock]:
    assert isinstance(stage, ResidualStage)
    return [block for block in stage.body if isinstance(block, ResidualBlock)]


def _free_to_move(blocks: Sequence[ResidualBlock], head: nn.Module) -> list[bool]:
    """Whether each block's output may be reordered: what other kinds of heads read stays."""
    if reads_path(head):
        return [False] * len(blocks)
    free = [True] * len(blocks)
    if isinstance(head, DenseHead):
        return free
    for number in reversed(range(len(blocks))):
        free[number] = False
        if not isinstance(blocks[number].shortcut, nn.Identity):
            break  # what comes in goes through a convolution, which takes it in any order
    return free


def _align_block(
    block: ResidualBlock, like: ResidualBlock, order: Tensor, *, may_move: bool
) -> Tensor:
    """Reorder a block whose input comes in a new order; the order of its output."""
    block.conv1.weight.copy_(block.conv1.weight[:, order])
    inner = _matched(_rows(block.conv1), _rows(like.conv1))
    _reorder(block.conv1, block.bn1, inner)
    block.conv2.weight.copy_(block.conv2.weight[:, inner])
    if isinstance(block.shortcut, nn.Identity):
        _reorder(block.conv2, block.bn2, order)
        return order
    assert isinstance(block.shortcut, nn.Sequential)
    assert isinstance(like.shortcut, nn.Sequential)
    side, norm = block.shortcut[0], block.shortcut[1]
    assert isinstance(side, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    side.weight.copy_(side.weight[:, order])
    ours = torch.cat([_rows(block.conv2), _rows(side)], dim=1)
    outer = (
        _matched(ours, torch.cat([_rows(like.conv2), _rows(like.shortcut[0])], dim=1))
        if may_move
        else torch.arange(len(ours))
    )
    _reorder(block.conv2, block.bn2, outer)
    _reorder(side, norm, outer)
    return outer


def _rows(layer: nn.Module) -> Float[Tensor, "C W"]:
    """The weights that lead to each channel, of length 1: batch norm takes the length away."""
    assert isinstance(layer, nn.Conv2d)
    return nn.functional.normalize(layer.weight.flatten(start_dim=1), dim=1)


def _matched(ours: Float[Tensor, "C W"], theirs: Float[Tensor, "C W"]) -> Order:
    """For each of their channels, which of ours is taken."""
    # half a second to import, and most trainings and all checks of a job align nothing
    from scipy.optimize import linear_sum_assignment

    _, columns = linear_sum_assignment((theirs @ ours.T).cpu().numpy(), maximize=True)
    return torch.from_numpy(columns)


def _reorder(layer: nn.Conv2d, norm: nn.BatchNorm2d, order: Tensor) -> None:
    layer.weight.copy_(layer.weight[order])
    for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        assert values is not None
        values.copy_(values[order])
