"""GradNorm: tasks pull equally hard on what they share, harder where they learn slowly.

Source: Z. Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
Multitask Networks", ICML 2018, section 3. Their step of the weights is taken relative to the mean
norm, so that one rate suits networks of any size.

In a tree, the weights that tasks are compared on are those of the deepest stage that all share;
where they part at once, each task's copy of the first stage, all copies being of one shape.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.train.balancing.balancing import Step, copy_of, labelled, stacked

#: No task is switched off: its gradient must stay to be seen.
_LEAST = 1e-3


def gradnorm(weights: Mapping[str, float], *, alpha: float = 1.5, rate: float = 0.025) -> nn.Module:
    """Learn factors, of mean 1, that make the tasks' gradient norms alike.

    Args:
        weights: Factors on top of that.
        alpha: How much more a task may pull that has come less far, at least 0.
        rate: How far the factors move in a step, relative, positive.
    """
    if alpha < 0 or rate <= 0:
        raise ValueError(f"gradnorm needs alpha >= 0 and rate > 0, got {alpha} and {rate}")
    return _GradNorm(weights, alpha, rate)


class _GradNorm(nn.Module):
    weights: Tensor
    factors: Tensor
    first: Tensor

    def __init__(self, weights: Mapping[str, float], alpha: float, rate: float) -> None:
        super().__init__()
        self._tasks, self._alpha, self._rate = tuple(weights), alpha, rate
        self.register_buffer("weights", torch.tensor(list(weights.values())), persistent=False)
        self.register_buffer("factors", torch.ones(len(weights)))
        self.register_buffer("first", torch.zeros(len(weights)))  # 0: not seen yet

    def forward(self, losses: Mapping[str, Tensor], step: Step) -> Float[Tensor, ""]:
        values = self.weights * stacked(losses, self._tasks)
        total = (self.factors.clone() * values).sum()
        self._adapt(values, _norms(values, self._tasks, step))
        return total

    @torch.no_grad()
    def _adapt(self, values: Float[Tensor, " T"], norms: Float[Tensor, " T"]) -> None:
        self.first.copy_(torch.where(self.first == 0, values, self.first))
        there = labelled(values) & norms.isfinite() & (norms > 0)
        if there.sum() < 2:
            return
        pulls, left = self.factors * norms, values / self.first.where(there, 1)
        mean = pulls[there].mean()
        wanted = mean * (left / left[there].mean()) ** self._alpha
        moved = self.factors - self._rate * (pulls - wanted).sign() * norms / mean
        changed = torch.where(there, moved.clamp(min=_LEAST), self.factors)
        self.factors.copy_(len(values) * changed / changed.sum())


def _norms(values: Float[Tensor, " T"], tasks: tuple[str, ...], step: Step) -> Float[Tensor, " T"]:
    """The length of each task's gradient of the weights that it is compared on."""
    network = step.network
    stage = max((s for s, width in enumerate(network.tree.widths) if width == 1), default=0)
    gradients = []
    for number, task in enumerate(tasks):
        copy = copy_of(network, task, stage)
        each = torch.autograd.grad(
            step.scale * values[number],
            list(copy.parameters()),
            retain_graph=True,
            materialize_grads=True,
        )
        gradients.append(torch.cat([gradient.flatten() for gradient in each]) / step.scale)
    norms: Tensor = torch.linalg.vector_norm(step.processes.mean(torch.stack(gradients)), dim=1)
    return norms
