"""What steps the weights along their gradients."""

from collections.abc import Iterable

import torch
from torch import nn

from branchsearch.train.recipe import Optimizer, Recipe


def make_optimizer(
    recipe: Recipe, weights: Iterable[nn.Parameter], learnt: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """Build a recipe's optimiser.

    Args:
        recipe: Names it.
        weights: Of the network.
        learnt: By the balancing; they are not decayed, or each would be drawn to its start.
    """
    groups: list[dict[str, object]] = [{"params": list(weights)}]
    if others := list(learnt):
        groups.append({"params": others, "weight_decay": 0.0})
    # fused: small networks spend more time in a hundred small updates than in sums
    if Optimizer(recipe.optimizer) is Optimizer.SGD:
        return torch.optim.SGD(
            groups,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    return torch.optim.AdamW(
        groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
