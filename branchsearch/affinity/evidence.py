"""What measures of affinity compare tasks by: four kinds of evidence, and how each is made.

Shape letters: S = stages, T = tasks, N = batches, G = weights of one stage.

==========  ==================  ================================================================
kind        as a value          made by
==========  ==================  ================================================================
features    ``Features``        ``gram`` of what a task's own network makes of the probe images
gradients   [S, N, T, T]        ``gradient_products`` per stage and batch of a shared network
losses      ``Lookahead``       losses before and after a step on one task's gradient
gains       [S + 1, T, T]       trained networks of two tasks
==========  ==================  ================================================================

Gains: entry [d, i, j] is how much better (higher is better, any unit that all share) task i is in
a network with task j when the two share the first d stages; NaN where no such network was trained.
The diagonal is not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from branchsearch.affinity.gram import Gram, gram

__all__ = ["Features", "Gram", "Lookahead", "comparable", "gradient_products", "gram"]

#: Shape [S][T]: at every stage what every task's network makes of the same probe images.
Features = Sequence[Sequence[Gram]]


def comparable(features: Features, *, least: int = 3) -> list[list[Gram]]:
    """The same features, every task's with a name for messages, if they can be compared.

    That they are of the same images in the same order cannot be seen from features; whoever reads
    them sees to it.

    Raises:
        ValueError: A task saw another number of images than the rest, or all saw too few.
    """
    named = [
        [
            each if each.source else replace(each, source=f"task {task} at stage {stage}")
            for task, each in enumerate(row)
        ]
        for stage, row in enumerate(features)
    ]
    first = named[0][0]
    for each in chain.from_iterable(named):
        if each.images != first.images:
            raise ValueError(
                f"all tasks must see the same probe images, but {first.source} has {first.images} "
                f"and {each.source} has {each.images}"
            )
    if first.images < least:
        raise ValueError(f"needs at least {least} probe images, got {first.images}")
    return named


@dataclass(frozen=True, slots=True)
class Lookahead:
    """Losses before and after trial steps of a shared network, on N batches.

    ``estimate`` reads them of the trained network; the batches of other moments of its training
    serve as well.

    Attributes:
        before: Shape [N, T]: the loss of each task; positive.
        after: Shape [S, N, T, T]: entry [s, n, i, j] is the loss of task j after a step with task
            i's gradient of the weights of stage s; all other weights stay.
    """

    before: Float[np.ndarray, "N T"]
    after: Float[np.ndarray, "S N T T"]

    def __post_init__(self) -> None:
        batches, tasks = self.before.shape
        if self.after.shape[1:] != (batches, tasks, tasks):
            raise ValueError(
                f"losses after {self.after.shape} do not fit losses before {self.before.shape}; "
                f"needed are [stages, batches, tasks, tasks] and [batches, tasks]"
            )
        if not (np.isfinite(self.before).all() and (self.before > 0).all()):
            batch, task = np.argwhere(~(np.isfinite(self.before) & (self.before > 0)))[0]
            raise ValueError(
                f"the loss of task {task} for batch {batch} is {self.before[batch, task]}; "
                f"a share of it can only be said of a positive number"
            )
        if not np.isfinite(self.after).all():
            stage, batch, source, task = np.argwhere(~np.isfinite(self.after))[0]
            raise ValueError(
                f"the loss of task {task} for batch {batch} is "
                f"{self.after[stage, batch, source, task]} after a step on task {source}'s "
                f"gradient of stage {stage}"
            )


def gradient_products(gradients: Float[Tensor, "T G"]) -> Float[np.ndarray, "T T"]:
    """Inner products of the tasks' gradients of one stage's weights, in double.

    Args:
        gradients: One flat gradient per task, of the same weights; zeros where a task has none.

    Raises:
        ValueError: A gradient is NaN or infinite.
    """
    products = torch.zeros(len(gradients), len(gradients), dtype=torch.float64)
    # in pieces: a double copy of all would be large
    for start in range(0, gradients.shape[1], 2**20):
        piece = gradients.detach()[:, start : start + 2**20].double()
        products += (piece @ piece.T).cpu()
    unclean = (~products.diagonal().isfinite()).nonzero().flatten().tolist()
    if unclean:
        raise ValueError(f"gradients of tasks {unclean} are NaN or inf")
    result: Float[np.ndarray, "T T"] = products.numpy()
    return result
