"""Representation similarity analysis: do two networks find the same images alike?

Shape letters: K = probe images, P = K (K - 1) / 2 pairs of them, T = tasks, S = stages.

At each stage, every task's network says how unlike every two probe images are; two tasks are alike
as far as these dissimilarities rise together.

=================  ====================================  ========================
measure            dissimilarity of two images           agreement of two tasks
=================  ====================================  ========================
``RSA``            one minus Pearson's correlation       Spearman's, by ranks
``RSA_PEARSON``    one minus Pearson's correlation       Pearson's
``RSA_EUCLIDEAN``  squared Euclidean distance            Spearman's, by ranks
=================  ====================================  ========================

Kendall's agreement, which costs far more, is in ``branchsearch.affinity.kendall``.

Source: K. Dwivedi and G. Roig, "Representation Similarity Analysis for Efficient Task Taxonomy &
Transfer Learning", CVPR 2019; used per branching point by S. Vandenhende et al., "Branched
Multi-Task Networks: Deciding What Layers To Share", BMVC 2020. N. Kriegeskorte et al.,
"Representational similarity analysis", Frontiers in Systems Neuroscience 2008, where it comes from.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from branchsearch.affinity.correlation import products, unit_rows
from branchsearch.affinity.evidence import Features, comparable
from branchsearch.affinity.gram import Gram
from branchsearch.affinity.measure import Estimate, Measure, Reads
from branchsearch.affinity.ranking import Ranking
from branchsearch.affinity.rdm import one_minus_pearson, squared_euclidean, triangle
from branchsearch.affinity.uncertainty import chance_level, interval, of_symmetric, resamples

Dissimilarity = Callable[[Gram], Float[Tensor, " P"]]


def spearman(
    features: Features, dissimilarity: Dissimilarity = one_minus_pearson
) -> Float[np.ndarray, "S T T"]:
    """Spearman's rank correlation of every two tasks' dissimilarities, in [-1, 1].

    Raises:
        ValueError: Tasks saw different numbers of images, or fewer than 3; an image's features are
            all equal (with Pearson's dissimilarity); or a task finds every two images equally
            alike. The message says which.
    """
    stages = comparable(features)
    return np.stack([products(_ranked(stage, dissimilarity)) for stage in stages])


def pearson(features: Features) -> Float[np.ndarray, "S T T"]:
    """Pearson's correlation of every two tasks' dissimilarities; raises as ``spearman``."""
    stages = comparable(features)
    return np.stack([products(unit_rows(dissimilarities(stage))) for stage in stages])


def estimate_spearman(
    features: Features,
    dissimilarity: Dissimilarity = one_minus_pearson,
    *,
    draws: int,
    seed: int,
) -> Estimate:
    """The same with intervals and chance levels, resamples ranked anew."""
    stages = comparable(features)

    def drawn(stage: Sequence[Gram]) -> Iterator[Float[np.ndarray, "T T"]]:
        rankings = [Ranking.of(dissimilarity(task)) for task in stage]
        for counts in pair_counts(stage[0], draws=draws, seed=seed):
            ranks = torch.stack([ranking.ranks_of_resample(counts) for ranking in rankings])
            yield products(unit_rows(ranks, counts))

    units = (_ranked(stage, dissimilarity) for stage in stages)
    return _estimate(stages, units, drawn, draws=draws, seed=seed)


def estimate_pearson(features: Features, *, draws: int, seed: int) -> Estimate:
    """The same with intervals and chance levels."""
    stages = comparable(features)

    def drawn(stage: Sequence[Gram]) -> Iterator[Float[np.ndarray, "T T"]]:
        rdms = dissimilarities(stage).float()
        for counts in pair_counts(stage[0], draws=draws, seed=seed):
            yield products(unit_rows(rdms, counts))

    units = (unit_rows(dissimilarities(stage)) for stage in stages)
    return _estimate(stages, units, drawn, draws=draws, seed=seed)


def _estimate(
    features: Features,
    units: Iterator[Float[Tensor, "T P"]],
    drawn: Callable[[Sequence[Gram]], Iterator[Float[np.ndarray, "T T"]]],
    *,
    draws: int,
    seed: int,
) -> Estimate:
    rows = []
    for stage, unit in zip(features, units, strict=True):
        images = stage[0].images
        pairs = torch.triu_indices(images, images, offset=1, device=unit.device)
        values = products(unit)
        chance = chance_level(unit, pairs, images=images, draws=draws, seed=seed)
        rows.append((values, *interval(values, list(drawn(stage))), chance))
    values, low, high, chance = (np.stack(column) for column in zip(*rows, strict=True))
    return of_symmetric(values, low, high, chance)


def pair_counts(features: Gram, *, draws: int, seed: int) -> Iterator[Float[Tensor, " P"]]:
    """How often each pair is in a resample; pairs of an image with itself are left out."""
    for counts in resamples(features.images, draws=draws, seed=seed):
        times = torch.from_numpy(counts).to(features.products.device).float()
        yield triangle(torch.outer(times, times))


def dissimilarities(stage: Sequence[Gram]) -> Float[Tensor, "T P"]:
    """One minus Pearson's correlation, for every task at a stage."""
    return torch.stack([one_minus_pearson(task) for task in stage])


def _ranked(stage: Sequence[Gram], dissimilarity: Dissimilarity) -> Float[Tensor, "T P"]:
    """Ranks as unit vectors, as ``unit_rows`` would make them; in single precision where the
    products are, written in place: at 40 tasks and 500 images they are what fills the memory.
    """
    pairs = stage[0].images * (stage[0].images - 1) // 2
    products = stage[0].products
    dtype = torch.promote_types(products.dtype, stage[-1].products.dtype)
    rows = torch.empty(len(stage), pairs, dtype=dtype, device=products.device)
    for row, task in zip(rows, stage, strict=True):
        row.copy_(Ranking.of(dissimilarity(task)).ranks(dtype)).sub_((pairs + 1) / 2)
        row.div_(row.norm())
    return rows


#: Spearman's agreement of Pearson's dissimilarities: the measure of the papers.
RSA = Measure(Reads.FEATURES, symmetric=True, values=spearman, estimate=estimate_spearman)
RSA_PEARSON = Measure(Reads.FEATURES, symmetric=True, values=pearson, estimate=estimate_pearson)
RSA_EUCLIDEAN = Measure(
    Reads.FEATURES,
    symmetric=True,
    values=partial(spearman, dissimilarity=squared_euclidean),
    estimate=partial(estimate_spearman, dissimilarity=squared_euclidean),
)
