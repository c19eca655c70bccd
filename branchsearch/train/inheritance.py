"""Initial weights of a tree from the single-task networks of its tasks."""

from collections.abc import Mapping
from copy import deepcopy
from enum import StrEnum

import torch
from torch import Tensor, nn

from branchsearch.model.branched import BranchedNetwork, BranchedStage
from branchsearch.train.alignment import align


class Inherit(StrEnum):
    """Where a branch's first weights come from; a head's are always its own task's."""

    COPY = "copy"  # of the branch's first task
    MEAN = "mean"  # over its tasks, channels matched where the stages allow it


def inherit(network: BranchedNetwork, alone: Mapping[str, BranchedNetwork], how: Inherit) -> None:
    """Give a network of several tasks weights that single-task networks have learnt, in place.

    Args:
        network: Of any tree over these tasks.
        alone: A single-task network per task, of the same stages and heads; not changed.
        how: From one of a branch's tasks, or from all.

    Raises:
        ValueError: A task has no network.
    """
    if missing := sorted(set(network.tree.tasks) - alone.keys()):
        raise ValueError(f"no network to inherit from for {', '.join(missing)}")
    chains = {task: [_only(stage) for stage in alone[task].stages] for task in network.tree.tasks}
    heads = {task: alone[task].heads[0] for task in network.tree.tasks}
    if how is Inherit.MEAN:
        # all in the order of one of them: a branch's channels are what the next stage reads
        chains, heads = deepcopy(chains), deepcopy(heads)
        for members in network.tree.members(0):
            for task in members[1:]:
                align(chains[task], heads[task], chains[members[0]])
    for number, stage in enumerate(network.stages):
        assert isinstance(stage, BranchedStage)  # ModuleList does not say what it holds
        for members, branch in zip(network.tree.members(number), stage.copies, strict=True):
            states = [chains[task][number].state_dict() for task in members]
            branch.load_state_dict(_mean(states) if how is Inherit.MEAN else states[0])
    for task, head in zip(network.tree.tasks, network.heads, strict=True):
        head.load_state_dict(heads[task].state_dict())


def _only(stage: nn.Module) -> nn.Module:
    assert isinstance(stage, BranchedStage)
    (copy,) = stage.copies
    return copy


def _mean(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of every weight; of what is counted in whole numbers, the first."""
    first = states[0]
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }
