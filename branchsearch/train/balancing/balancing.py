"""What every balancing is: from the tasks' losses of a step to the one number that is trained on.

A loss of exactly 0 means that no image of the batch has a label of that task, and no balancing
learns anything about the task from it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from branchsearch.model.branched import BranchedNetwork, BranchedStage
from branchsearch.train.processes import ALONE, Processes


@dataclass(frozen=True, slots=True)
class Step:
    """Where in a training a balancing is asked.

    Attributes:
        network: What is trained; its last forward pass gave the losses.
        number: Of the step, from 0.
        epoch: From 1.
        seed: Of the training; random draws depend on it and the number alone.
        scale: What losses are multiplied by before gradients are taken in float16, else 1.
        processes: Which of those that train this network together.
    """

    network: BranchedNetwork
    number: int
    epoch: int
    seed: int
    scale: float = 1.0
    processes: Processes = field(default=ALONE)


#: A module that is called with the losses of a step by task, and a ``Step``, and gives the total: a
#: scalar whose gradient is what each weight is stepped along. What it remembers is its state; its
#: parameters, if it has any, are trained with the network's, without weight decay. The catalog
#: holds functions that make one from the tasks' weights, further arguments by keyword. One that
#: must see all images' losses of a step at once has a method ``needs_whole``, see below.
Balancing = nn.Module


def needs_whole(balancing: Balancing, step: Step) -> bool:
    """Whether a step whose images go through the network in parts is another step part by part.

    A balancing says so by a method of that name that takes the step. It is then called once, with
    losses that have no graph behind them; so it may only go by the losses and not by gradients of
    the network. One without the method is called with every part, its losses multiplied to the
    size of the whole step's.
    """
    asked: Callable[[Step], bool] | None = getattr(balancing, "needs_whole", None)
    return asked is not None and asked(step)


def stacked(losses: Mapping[str, Tensor], tasks: Sequence[str]) -> Float[Tensor, " tasks"]:
    """The losses in the order of ``tasks``."""
    return torch.stack([losses[task] for task in tasks])


def labelled(losses: Float[Tensor, " tasks"]) -> Bool[Tensor, " tasks"]:
    """Which tasks have a label in the batch."""
    return losses.detach() != 0


def copy_of(network: BranchedNetwork, task: str, stage: int) -> nn.Module:
    """The copy of a stage that a task uses."""
    branch = network.tree.branches[stage][network.tree.tasks.index(task)]
    branched = network.stages[stage]
    assert isinstance(branched, BranchedStage)  # ModuleList does not say what it holds
    return branched.copies[branch]


def summed(losses: Iterable[Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """The sum, added in order."""
    first, *others = losses
    for loss in others:
        first = first + loss
    return first
