"""What the tasks' losses do to the network that they all share: gradients and trial steps.

Shape letters: S = stages, N = batches, T = tasks, G = weights of one stage.

The network is read in evaluation mode: batch norm uses its kept statistics and dropout is off, so
that what is read is what is judged, and reading changes nothing. Weights are never stepped: a trial
step is a forward pass with other weights handed in.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call

from branchsearch.affinity.evidence import Lookahead, gradient_products
from branchsearch.affinity.features import only_reading
from branchsearch.model.branched import BranchedNetwork

Loss = Callable[[Tensor, Tensor], Tensor]

#: Images as the network takes them, and one target per task.
Batch = tuple[Tensor, Mapping[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Readings:
    """What N batches say about T tasks at the S stages of a shared network.

    Attributes:
        gradients: Inner products of the tasks' gradients of each stage's weights.
        lookahead: Losses before and after trial steps; None where none were taken.
    """

    gradients: Float[np.ndarray, "S N T T"]
    lookahead: Lookahead | None


def read_batches(
    network: BranchedNetwork,
    batches: Iterable[Batch],
    losses: Mapping[str, Loss],
    *,
    step: float | None,
) -> Readings:
    """Take every task's gradient of every stage, and try a step along each, batch by batch.

    Memory: one gradient per task of all shared weights. Time: per batch one backward pass per task
    and, with a step, one forward pass per task and stage.

    Args:
        network: In which all tasks share all stages, in any mode; it stays as it is.
        batches: N of them, at least 1, on the network's device.
        losses: One per task, not weighted: weights would only scale what is compared.
        step: How far to go along a gradient, as a learning rate of plain gradient descent; None
            tries no step.

    Raises:
        ValueError: The network does not share all stages, there is no batch, or a loss or gradient
            is not finite.
    """
    if set(network.tree.widths) != {1}:
        raise ValueError(f"gradients are compared where all tasks share, not in {network.tree}")
    products, before, after = [], [], []
    with only_reading(network):
        for batch in batches:
            each = _losses(network, {}, batch, losses)
            gradients = _gradients(network, each)
            products.append([gradient_products(_flat(stage)) for stage in gradients])
            before.append([loss.item() for loss in each])
            if step is not None:
                after.append([_stepped(network, stage, batch, losses, step) for stage in gradients])
    if not products:
        raise ValueError("there is no batch to take gradients of")
    lookahead = Lookahead(np.array(before), _stages_first(after)) if after else None
    return Readings(_stages_first(products), lookahead)


#: One stage's gradients: per weight of the network, by name, one row per task.
_Gradients = Mapping[str, Float[Tensor, "T ..."]]


def _gradients(network: BranchedNetwork, losses: list[Tensor]) -> list[_Gradients]:
    """Each stage's gradients of every task's loss; zeros where a loss does not see a weight."""
    stages = [
        {f"stages.{number}.{name}": weight for name, weight in stage.named_parameters()}
        for number, stage in enumerate(network.stages)
    ]
    weights = [weight for stage in stages for weight in stage.values()]
    rows = [
        torch.autograd.grad(
            loss,
            weights,
            retain_graph=number + 1 < len(losses),
            materialize_grads=True,
        )
        for number, loss in enumerate(losses)
    ]
    columns = iter(zip(*rows, strict=True))
    return [{name: torch.stack(next(columns)) for name in stage} for stage in stages]


@torch.no_grad()
def _stepped(
    network: BranchedNetwork,
    gradients: _Gradients,
    batch: Batch,
    losses: Mapping[str, Loss],
    step: float,
) -> list[list[float]]:
    """All losses after a step with each task's gradient of one stage, [T, T]."""
    weights = dict(network.named_parameters())
    return [
        [
            loss.item()
            for loss in _losses(
                network,
                {name: weights[name] - step * rows[task] for name, rows in gradients.items()},
                batch,
                losses,
            )
        ]
        for task in range(len(network.tree.tasks))
    ]


def _losses(
    network: BranchedNetwork,
    instead: Mapping[str, Tensor],
    batch: Batch,
    losses: Mapping[str, Loss],
) -> list[Tensor]:
    """Each task's loss, some weights replaced."""
    images, targets = batch
    predicted = functional_call(network, dict(instead), (images,))
    return [losses[task](predicted[task], targets[task]) for task in network.tree.tasks]


def _flat(gradients: _Gradients) -> Float[Tensor, "T G"]:
    return torch.cat([rows.flatten(start_dim=1) for rows in gradients.values()], dim=1)


def _stages_first(values: list[list[list[list[float]]]] | list[list[np.ndarray]]) -> np.ndarray:
    """From [N, S, T, T] to [S, N, T, T]."""
    swapped: np.ndarray = np.array(values, dtype=np.float64).swapaxes(0, 1)
    return swapped
