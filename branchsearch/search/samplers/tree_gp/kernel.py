"""When two trees are alike for a task: they share alike on its path.

A task's network is its path through the tree, and what a path is depends on with whom the task
shares each stage. So the kernel of a task sees nothing else of a tree.

Shape letters: G = settings of hyperparameters, T = tasks, S = stages, O = other tasks, C = numbers
beside the tree, N and M = trees, D = S · O + 1 + C.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Settings:
    """Hyperparameters, G settings at once; variances in units of the task's own.

    Attributes:
        offset: Shape [G]; variance of what all trees have in common.
        parts: Shape [G, 4], sums to 1: variances of the kernel's four parts.
        reach: Shape [G]; share of a path over which the correlation of the third part falls to 1/e.
        slope: Shape [G]; by how much the logarithm of a stage's weight grows from stage to stage.
        trust: Shape [G]; variance of the slope on the affinity.
    """

    offset: Tensor
    parts: Tensor
    reach: Tensor
    slope: Tensor
    trust: Tensor

    def __getitem__(self, which: Tensor) -> "Settings":
        return Settings(*(value[which] for value in vars(self).values()))

    def __len__(self) -> int:
        return len(self.offset)


def drawn_settings(count: int) -> Settings:
    """Settings from the prior, the same ones always: quasi-random, so that few are enough.

    The prior is what a handful of trainings leaves in force: three parts of equal size and a
    smaller fourth, and a reach of half a path.

    Args:
        count: A power of two, as Sobol's points want it.
    """
    # here, since it takes half a second, and a job is checked without
    from scipy.stats.qmc import Sobol

    uniform = Sobol(7, seed=0).random(count).clip(1e-6, 1 - 1e-6)
    normal = torch.from_numpy(np.vectorize(NormalDist().inv_cdf)(uniform))
    logits = normal[:, :4] + torch.tensor([0.0, 0.0, 0.0, -1.0])
    return Settings(
        offset=torch.exp(0.5 * normal[:, 4]),
        parts=logits.softmax(dim=1),
        reach=torch.exp(0.7 * normal[:, 5] - 0.7),
        slope=0.5 * normal[:, 6],
        trust=torch.full((count,), 0.25, dtype=normal.dtype),
    )


class PathKernel:
    """Covariance of a task's gain in two trees, as a sum of four parts.

    1. *partners*: linear in whether the task shares a stage with each other task;
    2. *crowd*: linear in how many share each stage with it, whoever they are;
    3. *near*: exponential in how much of the two paths differs (an Ornstein-Uhlenbeck process on
       the hypercube), for what partners do together;
    4. *same*: of trees in which the path is the very same, for what no rule foretells.

    Stages are weighed by a trend over depth. What is known of affinity is one more linear part, and
    numbers beside the tree fade all four with their distance.

    Args:
        settings: Of G kernels.
        stages: S.
        others: O, at least 1.
    """

    def __init__(self, settings: Settings, stages: int, others: int) -> None:
        self._stages, self._others = stages, others
        # one column a setting, to go with arrays of shape [G, T, N, M]
        self._offset = settings.offset[:, None, None, None]
        self._parts = settings.parts.T[..., None, None, None]
        self._reach = settings.reach[:, None, None, None]
        self._trust = settings.trust[:, None, None, None]
        steps = torch.arange(stages, dtype=torch.double) - (stages - 1) / 2
        weights_GS = (settings.slope[:, None] * steps).softmax(dim=1)
        self._weights_GS = weights_GS[:, None, None]
        self._weights_GD = weights_GS.repeat_interleave(others, dim=1)[:, None, None] / others

    def __call__(self, paths_TND: Tensor, others_TMD: Tensor) -> Tensor:
        """Covariances, shape [G, T, N, M].

        Args:
            paths_TND: See ``branchsearch.search.samplers.tree_gp.paths``.
            others_TMD: As well.
        """
        z1, a1, c1 = self._parted(paths_TND)
        z2, a2, c2 = self._parted(others_TMD)
        both = (z1 * self._weights_GD) @ z2.mT
        linear = self._linear(z1) @ self._as_read(z2).mT
        # in place: of many trees these arrays are large, and this is where the time goes
        apart = (
            both.mul_(-2).add_(self._share(z1)[..., :, None]).add_(self._share(z2)[..., None, :])
        )
        same = apart < 1e-9
        _, _, p3, p4 = self._parts
        parts = apart.div_(-self._reach).clamp_(max=0).exp_().mul_(p3)
        parts.add_(linear).add_(same * p4)
        if c1.shape[-1]:
            parts.mul_(torch.exp(-2 * torch.cdist(c1, c2) ** 2))
        alike = self._trust * a1 @ a2.mT
        return parts.add_(self._offset).add_(alike)

    def variances(self, paths_TND: Tensor) -> Tensor:
        """Of each path with itself, shape [G, T, N]."""
        z, a, _ = self._parted(paths_TND)
        linear = (self._linear(z) * self._as_read(z)).sum(-1, keepdim=True)
        _, _, p3, p4 = self._parts
        alike = self._trust * a**2
        variances: Tensor = self._offset + linear + p3 + p4 + alike
        return variances[..., 0]

    def _linear(self, z: Tensor) -> Tensor:
        """Sharing, task by task and in all, times what that is worth: the first two parts."""
        p1, p2, _, _ = self._parts
        return torch.cat(
            [z * self._weights_GD * (2 * p1), self._crowd(z) * self._weights_GS * (2 * p2)], dim=-1
        )

    def _as_read(self, z: Tensor) -> Tensor:
        return torch.cat([z, self._crowd(z)], dim=-1)

    def _parted(self, paths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sharing, affinity and what is beside."""
        end = self._stages * self._others
        return paths[..., :end], paths[..., end : end + 1], paths[..., end + 1 :]

    def _share(self, z: Tensor) -> Tensor:
        """Which part of a path is shared, shape [G, T, N]."""
        return (z * self._weights_GD).sum(-1)

    def _crowd(self, z: Tensor) -> Tensor:
        """With which part of the other tasks each stage is shared, shape [T, N, S]."""
        crowd: Tensor = z.reshape(*z.shape[:-1], self._stages, self._others).mean(-1)
        return crowd
