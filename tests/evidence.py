"""Random evidence for measures of affinity."""

import numpy as np
import torch
from torch import Tensor

from branchsearch.affinity.evidence import Features, Lookahead, gradient_products
from branchsearch.affinity.gram import Gram, gram
from branchsearch.affinity.measure import Reads

Evidence = Features | Lookahead | np.ndarray


def features(
    seed: int, images: int = 12, size: int = 30, dtype: torch.dtype = torch.float64
) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(images, size, generator=draw, dtype=torch.float64).to(dtype)


def grams(*tasks: Tensor) -> list[list[Gram]]:
    """The evidence of one stage, tasks named by their numbers."""
    return [[gram(task, source=f"task {number}") for number, task in enumerate(tasks)]]


def planted(reads: Reads, seed: int, *, stages: int = 2, tasks: int = 4) -> Evidence:
    """Evidence in which tasks 0 and 1 are alike, and no others."""
    random = np.random.default_rng(seed)
    if reads is Reads.FEATURES:
        common = [features(seed + 999 + stage, 40, 60) for stage in range(stages)]
        return [
            [
                gram(features(seed + 10 * stage + task, 40, 60) + 2 * (task < 2) * common[stage])
                for task in range(tasks)
            ]
            for stage in range(stages)
        ]
    if reads is Reads.GRADIENTS:
        steps = random.normal(size=(stages, 20, tasks, 50))
        steps[:, :, 1] += 2 * steps[:, :, 0]
        return np.stack(
            [[gradient_products(torch.from_numpy(s)) for s in stage] for stage in steps]
        )
    if reads is Reads.LOSSES:
        before = random.uniform(1, 2, size=(20, tasks))
        helped = random.normal(0, 0.01, size=(stages, 20, tasks, tasks))
        helped[:, :, [0, 1], [1, 0]] += 0.1
        return Lookahead(before, before[None, :, None, :] * (1 - helped))
    gains = random.normal(0, 0.01, size=(stages + 1, tasks, tasks))
    gains[:, [0, 1], [1, 0]] += np.arange(stages + 1)[:, None]
    return gains


def reordered(evidence: Evidence, order: list[int]) -> Evidence:
    """The same tasks in another order."""
    if isinstance(evidence, Lookahead):
        return Lookahead(evidence.before[:, order], evidence.after[:, :, order][:, :, :, order])
    if isinstance(evidence, np.ndarray):
        return evidence[..., order, :][..., order]
    return [[stage[task] for task in order] for stage in evidence]
