"""Centred kernel alignment: do two networks place the same images near each other?

Shape letters: K = probe images, T = tasks, S = stages.

The kernel is the inner product of features. Plain CKA rises with the number of features, up to 1
for unrelated networks when there are far more features than images; the debiased form does not,
and is 0 on average for unrelated networks.

The debiased form is written as in G. Székely and M. Rizzo, "Partial distance correlation with
methods for dissimilarities", Annals of Statistics 2014: what is left of the products of different
images after the best sum of one number per image is taken off. For a resample, in which images
count several times, that is the same least-squares fit with weights.

Sources: S. Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019
(linear CKA); T. Nguyen, M. Raghu and S. Kornblith, "Do Wide and Deep Networks Learn the Same
Things?", ICLR 2021 (debiased).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from branchsearch.affinity.correlation import products
from branchsearch.affinity.evidence import Features, comparable
from branchsearch.affinity.gram import Gram
from branchsearch.affinity.measure import Estimate, Measure, Reads
from branchsearch.affinity.uncertainty import chance_level, interval, of_symmetric, resamples

#: Takes kernels [T, K, K] and how often each image counts [K]; gives what is left of them, each
#: entry times the root of its weight. Their inner products, scaled to length 1, are the alignment.
Centring = Callable[[Float[Tensor, "T K K"], Float[Tensor, " K"]], Float[Tensor, "T K K"]]


def linear(features: Features) -> Float[np.ndarray, "S T T"]:
    """Linear CKA of every two tasks, in [0, 1].

    Raises:
        ValueError: Tasks saw different numbers of images, or fewer than 3; or a task finds all
            images alike.
    """
    stages = comparable(features)
    return np.stack([products(_units(stage, _centred).flatten(1)) for stage in stages])


def debiased(features: Features) -> Float[np.ndarray, "S T T"]:
    """Debiased linear CKA of every two tasks, in [-1, 1]; raises as ``linear``, needs 4 images."""
    stages = comparable(features, least=4)
    return np.stack([products(_units(stage, _u_centred).flatten(1)) for stage in stages])


def estimate_linear(features: Features, *, draws: int, seed: int) -> Estimate:
    """The same with intervals and chance levels; copies of an image are not compared."""
    stages = comparable(features)
    return _estimate(stages, _centred, draws=draws, seed=seed, distinct=3)


def estimate_debiased(features: Features, *, draws: int, seed: int) -> Estimate:
    """The same with intervals and chance levels; copies of an image are not compared."""
    stages = comparable(features, least=4)
    return _estimate(stages, _u_centred, draws=draws, seed=seed, distinct=4)


def _estimate(
    features: Features, centring: Centring, *, draws: int, seed: int, distinct: int
) -> Estimate:
    rows = []
    for stage in features:
        units = _units(stage, centring)
        values = products(units.flatten(1))
        kernels = _kernels(stage).float()
        drawn = []
        for counts in resamples(len(units[0]), draws=draws, seed=seed, distinct=distinct):
            here = torch.from_numpy(counts.nonzero()[0]).to(kernels.device)
            times = torch.from_numpy(counts).to(kernels)[here]
            drawn.append(products(_unit(centring(kernels[:, here][:, :, here], times)).flatten(1)))
        chance = _chance(units, draws=draws, seed=seed)
        rows.append((values, *interval(values, drawn), chance))
    values, low, high, chance = (np.stack(column) for column in zip(*rows, strict=True))
    return of_symmetric(values, low, high, chance)


def _kernels(stage: Sequence[Gram]) -> Float[Tensor, "T K K"]:
    """Centred products of every task, in double and of size about 1."""
    kernels = torch.stack([_kernel(task) for task in stage])
    for task, energy in enumerate(kernels.diagonal(dim1=1, dim2=2).sum(dim=1).tolist()):
        if not energy > 1e-12 * _common(stage[task]) + 1e-300:
            raise ValueError(f"{stage[task].source}: all images are alike")
        kernels[task] *= len(kernels[task]) / energy
    return kernels


def _kernel(features: Gram) -> Float[Tensor, "K K"]:
    """Inner products of images, less something that is the same for all."""
    means = features.means - features.means.mean()
    return features.without_means().addr_(means, means, alpha=features.columns)


def _common(features: Gram) -> float:
    """What is the same for all, squared and summed."""
    mean = features.common_mean + float(features.means.mean())
    return features.common_square + features.columns * mean**2


def _units(stage: Sequence[Gram], centring: Centring) -> Float[Tensor, "T K K"]:
    kernels = _kernels(stage)
    centred = centring(kernels, torch.ones_like(kernels[0, 0]))
    for task, length in enumerate(centred.flatten(1).norm(dim=1).tolist()):
        if not length > 1e-6 * float(kernels[task].norm()):
            raise ValueError(f"{stage[task].source}: every two images are equally alike")
    return _unit(centred)


def _centred(kernels: Float[Tensor, "T K K"], times: Float[Tensor, " K"]) -> Float[Tensor, "T K K"]:
    mean = kernels @ (times / times.sum())
    grand = mean @ (times / times.sum())
    centred = kernels - mean[:, :, None] - mean[:, None, :] + grand[:, None, None]
    weights = torch.outer(times, times)
    weights.diagonal().copy_(times)  # an image with itself, but not with its copies
    return centred.mul_(weights.sqrt())


def _u_centred(
    kernels: Float[Tensor, "T K K"], times: Float[Tensor, " K"]
) -> Float[Tensor, "T K K"]:
    """Products of different images, less the best fit a_i + a_j.

    The normal equations are a diagonal matrix plus one of rank 1, so they are solved by hand.
    """
    others = kernels - torch.diag_embed(kernels.diagonal(dim1=1, dim2=2))
    free = times.sum() - 2 * times
    sums = others @ times
    total = (sums / free @ times) / (1 + (times / free).sum())
    per_image = (sums - total[:, None]) / free
    left = others - per_image[:, :, None] - per_image[:, None, :]
    weights = torch.outer(times, times)
    weights.diagonal().zero_()
    return left.mul_(weights.sqrt())


def _unit(centred: Float[Tensor, "T K K"]) -> Float[Tensor, "T K K"]:
    unit: Float[Tensor, "T K K"] = centred / centred.flatten(1).norm(dim=1)[:, None, None]
    return unit


def _chance(units: Float[Tensor, "T K K"], *, draws: int, seed: int) -> Float[np.ndarray, "T T"]:
    images = units.shape[1]
    pairs = torch.triu_indices(images, images, device=units.device)
    return chance_level(_entries(units, pairs), pairs, images=images, draws=draws, seed=seed)


def _entries(units: Float[Tensor, "T K K"], pairs: Int[Tensor, "2 P"]) -> Float[Tensor, "T P"]:
    """The upper triangle with its diagonal, so that inner products stay what they were."""
    twice = torch.where(pairs[0] == pairs[1], 1.0, 2.0**0.5).to(units)
    return units[:, pairs[0], pairs[1]] * twice


#: Kornblith's linear CKA.
CKA = Measure(Reads.FEATURES, symmetric=True, values=linear, estimate=estimate_linear)
#: Nguyen's, which does not rise with the number of features.
CKA_DEBIASED = Measure(Reads.FEATURES, symmetric=True, values=debiased, estimate=estimate_debiased)
