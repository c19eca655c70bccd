"""What trained trees say of others: one Gaussian process per task, averaged over hyperparameters.

The tasks have one kernel, and each its own offset, scale and noise. A task's scale and noise are
integrated out; the rest is averaged over settings drawn from their prior, each weighed by how well
it foretold what was observed (the marginal likelihood). With few trainings that is steadier than
the most likely setting, and needs no optimiser.

Up to ``EXACT`` observations nothing is left out. Of more, so many serve as inducing points (the
deterministic training conditional of J. Quiñonero-Candela and C. E. Rasmussen, "A Unifying View of
Sparse Approximate Gaussian Process Regression", JMLR 2005).

BoTorch's own models are not used: their posterior forms the covariances of all candidates with each
other, which thousands of trees under several settings have no memory for.

Shape letters: G = settings, V = variances of noise, T = tasks, N = observations, I = inducing
points, M = trees, D = see ``paths``.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor

from branchsearch.search.samplers.tree_gp.kernel import PathKernel, Settings, drawn_settings
from branchsearch.search.samplers.tree_gp.paths import Pool

#: So many observations are all taken as they are; of more, this many are inducing points.
EXACT = 256

#: Settings are weighed by so many observations at most, spread evenly.
_WEIGHED = 150

#: From so many observations on, how many settings are drawn, and at most kept: the more is known,
#: the less the others could change, and the longer each takes.
_SETTINGS = {0: (128, 16), 50: (32, 2), 150: (32, 1)}

#: Settings that share this much of the weight are kept.
_ENOUGH = 0.95

#: Of the variance's inverse gamma prior: its mean is 1, the variance of what was observed.
_SHAPE, _RATE = 2.0, 1.0

#: Of the normal prior of the logarithm of the noise's variance, in units of the scale: beforehand
#: there is little chance in training. That trainings scatter shows soon; but a tree whose score was
#: taken for chance is not trained again.
_NOISE, _NOISE_SPREAD = -4.5, 1.5

#: The noise is integrated over so many values, out to so many deviations of its prior.
_VALUES, _OUT = 15, 3.5

#: Trees of which the posterior is computed at once, which bounds memory.
_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Observations:
    """Trainings.

    Attributes:
        paths: Shape [T, N, D].
        gains: Shape [T, N]; each task's, in any unit.
        blur: Shape [T, N]; variance beyond that of a training, in the same unit squared: of what
            was read before the end.
    """

    paths: Tensor
    gains: Tensor
    blur: Tensor

    def __len__(self) -> int:
        return self.gains.shape[1]

    def __getitem__(self, which: Tensor | slice) -> "Observations":
        return Observations(self.paths[:, which], self.gains[:, which], self.blur[:, which])

    def and_then(self, others: "Observations") -> "Observations":
        """These and others."""
        pairs = zip(vars(self).values(), vars(others).values(), strict=True)
        return Observations(*(torch.cat(pair, dim=1) for pair in pairs))


class Belief(NamedTuple):
    """Of each task's gain in trees: means and variances, shape [T, M] each, without noise."""

    mean: Tensor
    variance: Tensor


@dataclass(frozen=True, eq=False)
class Weighed:
    """The settings that matter.

    Attributes:
        settings: G of them.
        weights: Shape [G, T]; sums to 1 over G.
        noise: Shape [G, T]; variance of one training under each, in units of the scale.
    """

    settings: Settings
    weights: Tensor
    noise: Tensor


class Layout(NamedTuple):
    """Sizes that ``PathKernel`` needs: stages, and other tasks (at least 1)."""

    stages: int
    others: int


def weigh(observed: Observations, layout: Layout) -> Weighed:
    """Weigh settings by what was observed.

    Args:
        observed: Any number of trainings, none too.
        layout: Of the paths.
    """
    drawn, most = next(of for above, of in reversed(_SETTINGS.items()) if len(observed) >= above)
    settings = drawn_settings(drawn)
    some = torch.linspace(0, len(observed) - 1, min(len(observed), _WEIGHED)).round().long()
    evidence_GT, noise_GT = _evidence(observed[some], PathKernel(settings, *layout), len(settings))
    weights_GT = evidence_GT.softmax(dim=0)
    order = weights_GT.mean(1).argsort(descending=True)
    share = weights_GT.mean(1)[order].cumsum(0)
    kept = order[: min(most, int((share < _ENOUGH).sum()) + 1)]
    weights_GT = weights_GT[kept]
    # a task for which none of the kept ones matters takes them all alike
    weights_GT = (weights_GT + 1e-9) / (weights_GT + 1e-9).sum(0)
    return Weighed(settings[kept], weights_GT, noise_GT[kept])


def _evidence(observed: Observations, kernel: PathKernel, settings: int) -> tuple[Tensor, Tensor]:
    """Of each setting for each task, the logarithm; and the noise under it, shape [G, T] both."""
    deviations_V = torch.linspace(-_OUT, _OUT, _VALUES, dtype=torch.double)
    noise_V = (_NOISE + _NOISE_SPREAD * deviations_V).exp()
    evidence_VGT = (-0.5 * deviations_V**2).log_softmax(0)[:, None, None]
    if len(observed):
        y_TN, blur_TN, _, _ = _standardised(observed)
        k_GTNN = kernel(observed.paths, observed.paths) + torch.diag_embed(blur_TN)
        # of one decomposition, every noise is a sum away
        values_GTN, vectors_GTNN = torch.linalg.eigh(k_GTNN)
        squares_GTN = (vectors_GTNN.mT @ y_TN[..., None])[..., 0] ** 2
        values_VGTN = values_GTN.clamp(min=0) + noise_V[:, None, None, None]
        squares_VGT = (squares_GTN / values_VGTN).sum(-1)
        exponent = _SHAPE + len(observed) / 2
        evidence_VGT = (
            evidence_VGT
            - 0.5 * values_VGTN.log().sum(-1)
            - exponent * (_RATE + 0.5 * squares_VGT).log()
        )
    else:
        evidence_VGT = evidence_VGT.expand(-1, settings, len(observed.gains))
    noise_GT = (evidence_VGT.softmax(0) * noise_V[:, None, None].log()).sum(0).exp()
    return evidence_VGT.logsumexp(0), noise_GT


class Posterior:
    """What observations say of trees.

    Args:
        observed: Any number of trainings, none too.
        weighed: Of these observations, or of the first among them.
        layout: Of the paths.
        slope: What one unit of affinity is taken to be worth before anything was observed, in
            units of the gains' spread.
    """

    def __init__(
        self, observed: Observations, weighed: Weighed, layout: Layout, *, slope: float
    ) -> None:
        settings, self._weights_GT = weighed.settings, weighed.weights
        self._slope, self._likes = slope, layout.stages * layout.others
        self._kernel = PathKernel(settings, *layout)
        y_TN, blur_TN, self._middle_T, self._spread_T = _standardised(observed)
        y_TN = y_TN - slope * self._liking(observed.paths)
        noise_GTN = weighed.noise[..., None] + blur_TN
        self._anchors = _spread_evenly(observed.paths)
        k_GTIN = self._kernel(self._anchors, observed.paths)
        k_GTII = self._kernel(self._anchors, self._anchors)
        exact = self._anchors.shape[1] == len(observed)
        self._prior, self._inner = _factors(k_GTII, k_GTIN, noise_GTN, exact=exact)
        scaled_GTN = y_TN / noise_GTN
        if exact:
            self._solved_GTI = torch.cholesky_solve(
                y_TN.expand(noise_GTN.shape)[..., None], self._inner
            )[..., 0]
            squares_GT = (self._solved_GTI * y_TN).sum(-1)
        else:
            seen_GTI = (k_GTIN @ scaled_GTN[..., None])[..., 0]
            self._solved_GTI = torch.cholesky_solve(seen_GTI[..., None], self._inner)[..., 0]
            squares_GT = (scaled_GTN * y_TN).sum(-1) - (self._solved_GTI * seen_GTI).sum(-1)
        self._scale_GT = (_RATE + 0.5 * squares_GT) / (_SHAPE - 1 + len(observed) / 2)

    def of(self, pool: Pool) -> Belief:
        """Expected gains in trees, and their variances, without noise."""
        parts = [self._moments(part) for part in torch.split(pool.unique_TPD, _AT_ONCE, dim=1)]
        mean_TP, variance_TP = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        spread_T1 = self._spread_T[:, None]
        return Belief(
            (self._middle_T[:, None] + spread_T1 * mean_TP).gather(1, pool.place_TM),
            (spread_T1**2 * variance_TP).gather(1, pool.place_TM),
        )

    def _moments(self, paths_TMD: Tensor) -> tuple[Tensor, Tensor]:
        k_GTIM = self._kernel(self._anchors, paths_TMD)
        mean_GTM = (self._solved_GTI[..., None, :] @ k_GTIM)[..., 0, :]
        mean_GTM = mean_GTM + self._slope * self._liking(paths_TMD)
        weights_GT1 = self._weights_GT[..., None]
        mean_TM = (weights_GT1 * mean_GTM).sum(0)
        known_GTM = _squares(self._inner, k_GTIM)
        if self._prior is not None:
            known_GTM = _squares(self._prior, k_GTIM) - known_GTM
        own_GTM = self._kernel.variances(paths_TMD)
        left_GTM = self._scale_GT[..., None] * (own_GTM - known_GTM).clamp(min=1e-10)
        second_TM = (weights_GT1 * (left_GTM + mean_GTM**2)).sum(0)
        return mean_TM, (second_TM - mean_TM**2).clamp(min=1e-10)

    def _liking(self, paths_TMD: Tensor) -> Tensor:
        return paths_TMD[..., self._likes]


def _standardised(observed: Observations) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gains and blur in units of each task's spread; then the middles and the spreads, [T]."""
    gains_TN = observed.gains
    if not len(observed):
        zero_T = torch.zeros(len(gains_TN), dtype=torch.double)
        return gains_TN, observed.blur, zero_T, zero_T + 1
    middle_T = gains_TN.mean(1)
    spread_T = gains_TN.std(1, correction=0)
    # one tree, or all alike: any unit will do, as long as the tasks' units agree
    spread_T = torch.where(spread_T > 1e-9 * (1 + middle_T.abs()), spread_T, _typical(spread_T))
    y_TN = (gains_TN - middle_T[:, None]) / spread_T[:, None]
    return y_TN, observed.blur / spread_T[:, None] ** 2, middle_T, spread_T


def _typical(spread_T: Tensor) -> Tensor:
    largest = spread_T.max()
    return largest if largest > 0 else torch.ones_like(largest)


def _factors(
    k_GTII: Tensor, k_GTIN: Tensor, noise_GTN: Tensor, *, exact: bool
) -> tuple[Tensor | None, Tensor]:
    """Cholesky factors: of the anchors' covariance (None if exact), and of what is solved with."""
    if exact:
        return None, psd_safe_cholesky(k_GTII + torch.diag_embed(noise_GTN))
    k_GTII = k_GTII + 1e-6 * torch.eye(k_GTII.shape[-1], dtype=k_GTII.dtype)
    inner = k_GTII + (k_GTIN / noise_GTN[..., None, :]) @ k_GTIN.mT
    return psd_safe_cholesky(k_GTII), psd_safe_cholesky(inner)


def _squares(factor: Tensor, k_GTIM: Tensor) -> Tensor:
    """Of each column under the inverse of what was factored, shape [G, T, M]."""
    solved = torch.linalg.solve_triangular(factor, k_GTIM, upper=False)
    squares_GTM: Tensor = solved.square().sum(-2)
    return squares_GTM


def _spread_evenly(paths_TND: Tensor) -> Tensor:
    """The observations themselves, or of many so many, the last ones among them."""
    count = paths_TND.shape[1]
    if count <= EXACT:
        return paths_TND
    step = count / EXACT
    places = [count - 1 - math.floor(number * step) for number in range(EXACT)]
    return paths_TND[:, torch.tensor(places)]
