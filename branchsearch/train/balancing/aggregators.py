"""Aggregators of torchjd: one direction made of the tasks' gradients. Needs the extra ``torchjd``.

In a tree the rows that are aggregated are the tasks' gradients of all weights that two or more
tasks share, with zeros where a task does not use a branch. So one set of weights holds for the
whole tree, and a tree with one branch is the plain case. Weights that one task uses alone, heads
among them, follow that task's gradient. One backward pass per task.

Sources: T. Yu et al. (PCGrad), NeurIPS 2020; O. Sener and V. Koltun (MGDA), NeurIPS 2018; L. Liu et
al. (IMTL), ICLR 2021; D. Senushkin et al. (Aligned-MTL), CVPR 2023; Q. Liu et al. (ConFIG), ICLR
2025; Z. Chen et al. (GradDrop), NeurIPS 2020; P. Quinton and V. Rey (UPGrad), arXiv 2406.16232; D.
Lopez-Paz and M. Ranzato (DualProj, from GEM), NeurIPS 2017.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.model.branched import BranchedStage
from branchsearch.train.balancing.balancing import Step, stacked
from branchsearch.train.balancing.torchjd import import_torchjd


def pcgrad(weights: Mapping[str, float]) -> nn.Module:
    """Take from each gradient what goes against another's, then add them (PCGrad)."""
    return _Aggregated(weights, "PCGrad", sums=True)


def mgda(weights: Mapping[str, float]) -> nn.Module:
    """The shortest vector between the gradients (MGDA)."""
    return _Aggregated(weights, "MGDA")


def imtl_g(weights: Mapping[str, float]) -> nn.Module:
    """The vector with equal projections on all gradients (IMTL-G)."""
    return _Aggregated(weights, "IMTLG")


def aligned_mtl(weights: Mapping[str, float]) -> nn.Module:
    """Gradients turned orthogonal and made alike in length (Aligned-MTL)."""
    return _Aggregated(weights, "AlignedMTL")


def config(weights: Mapping[str, float]) -> nn.Module:
    """The vector at equal angles to all gradients, as long as it agrees with them (ConFIG)."""
    return _Aggregated(weights, "ConFIG", sums=True)


def graddrop(weights: Mapping[str, float]) -> nn.Module:
    """Keep, weight by weight, the gradients of one chance sign (GradDrop)."""
    return _Aggregated(weights, "GradDrop", sums=True)


def upgrad(weights: Mapping[str, float]) -> nn.Module:
    """Each gradient projected so that it harms no task, then averaged (UPGrad)."""
    return _Aggregated(weights, "UPGrad")


def dualproj(weights: Mapping[str, float]) -> nn.Module:
    """The mean gradient projected so that it harms no task (DualProj)."""
    return _Aggregated(weights, "DualProj")


class _Aggregated(nn.Module):
    """An aggregator over the weights that tasks share.

    Args:
        weights: By task, what its loss is multiplied by before its gradient is taken.
        name: Of the aggregator.
        sums: Whether what it gives is as long as a sum of the gradients, not as their mean.
    """

    def __init__(self, weights: Mapping[str, float], name: str, *, sums: bool = False) -> None:
        super().__init__()
        self._weights, self._sums = dict(weights), sums
        self.aggregator: nn.Module = getattr(import_torchjd("aggregation"), name)()

    def forward(self, losses: Mapping[str, Tensor], step: Step) -> Float[Tensor, ""]:
        tasks = list(self._weights)
        values = stacked({task: self._weights[task] * losses[task] for task in tasks}, tasks)
        shared, own = _parted(step)
        weights = [*shared, *own]
        rows = _rows(values, weights, step)
        split = sum(weight.numel() for weight in shared)
        direction = torch.cat([self._aggregate(rows[:, :split], step), rows[:, split:].sum(dim=0)])
        # a scalar with that gradient, so that scaling and processes see a plain backward pass
        pieces = torch.split(direction, [weight.numel() for weight in weights])
        towards = [
            (weight * piece.view_as(weight)).sum()
            for weight, piece in zip(weights, pieces, strict=True)
        ]
        total = torch.stack(towards).sum()
        return total - total.detach() + values.detach().sum()

    @torch.no_grad()
    def _aggregate(self, rows: Float[Tensor, "T W"], step: Step) -> Float[Tensor, " W"]:
        used = rows[(rows != 0).any(dim=1)]
        if len(used) < 2 or not rows.isfinite().all():
            return rows.sum(dim=0)
        with torch.random.fork_rng(devices=[rows.device] if rows.is_cuda else []):
            # every process of a step must draw alike
            torch.manual_seed(
                int(np.random.SeedSequence([step.seed, step.number]).generate_state(1)[0])
            )
            direction: Tensor = self.aggregator(used)
        return direction if self._sums else len(used) * direction


def _parted(step: Step) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights that several tasks share, and the others."""
    network = step.network
    shared: list[nn.Parameter] = []
    for number, stage in enumerate(network.stages):
        assert isinstance(stage, BranchedStage)  # ModuleList does not say what it holds
        for members, copy in zip(network.tree.members(number), stage.copies, strict=True):
            if len(members) > 1:
                shared += [weight for weight in copy.parameters() if weight.requires_grad]
    among = {id(weight) for weight in shared}
    own = [w for w in network.parameters() if w.requires_grad and id(w) not in among]
    return shared, own


def _rows(
    values: Float[Tensor, " T"], weights: Sequence[nn.Parameter], step: Step
) -> Float[Tensor, "T W"]:
    """Each task's gradient of all weights, flat; zeros where it does not use one."""
    rows = []
    for value in values:
        each = torch.autograd.grad(
            step.scale * value, weights, retain_graph=True, materialize_grads=True
        )
        rows.append(torch.cat([gradient.flatten() for gradient in each]) / step.scale)
    return step.processes.mean(torch.stack(rows))
