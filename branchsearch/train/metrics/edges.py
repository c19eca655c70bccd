"""How well edges are found, give or take a pixel or two.

Source: D. Martin, C. Fowlkes and J. Malik, "Learning to Detect Natural Image Boundaries Using Local
Brightness, Color, and Texture Cues", TPAMI 2004, section 3: predicted and true edge pixels are
matched one to one within a distance, at every threshold; F of all images together at the best
threshold ("optimal dataset scale" since P. Arbelaez et al., TPAMI 2011).

What differs from the benchmark's own programme: it finds the matching of least total distance, we
match the nearest pairs first, then let pairs give way to one more, which takes a bounded time and
finds a few per cent fewer; it thins predictions by morphology after the threshold, we keep, before
it, the pixels that no neighbour across the line exceeds; it takes 99 thresholds, we 19; and it has
several people's drawings per image, we one.
"""

from itertools import product

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torchmetrics import Metric

from branchsearch.task import Task
from branchsearch.train.labels import known

#: How far apart two pixels may be and match, as a share of the image's diagonal.
TOLERANCE = 0.0075

#: Probabilities from which on a pixel is taken for an edge.
THRESHOLDS = tuple(number / 20 for number in range(1, 20))

#: Positions in an array of all images, one after another.
_Places = Int[np.ndarray, " _"]


def edge_f(task: Task) -> Metric:  # noqa: ARG001  # the factories' common signature
    """Greatest harmonic mean of precision and recall over thresholds, in [0, 1].

    A pixel on which an edge is predicted is right when a true one lies within ``TOLERANCE``, and
    each true pixel makes one predicted pixel right at most. Below 134 pixels of diagonal that is
    less than a pixel, and only the same place matches.
    """
    return _EdgeF()


class _EdgeF(Metric):
    full_state_update = False

    matched: Tensor
    predicted: Tensor
    true: Tensor
    labels: Tensor

    def __init__(self) -> None:
        super().__init__()
        zeros = torch.zeros(len(THRESHOLDS), dtype=torch.long)
        self.add_state("matched", zeros.clone(), dist_reduce_fx="sum")
        self.add_state("predicted", zeros.clone(), dist_reduce_fx="sum")
        self.add_state("true", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("labels", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Take a batch into account."""
        there = known(target)
        thin = thinned(predicted.float().sigmoid()).masked_fill(~there, 0)[:, 0].cpu().numpy()
        truth = (there & (target == 1))[:, 0].cpu().numpy()
        edges = [thin >= threshold for threshold in THRESHOLDS]
        found = [matches(edge, truth) for edge in edges]
        self.matched += self.matched.new_tensor(found)
        self.predicted += self.predicted.new_tensor([int(edge.sum()) for edge in edges])
        self.true += int(truth.sum())
        self.labels += there.sum()

    def compute(self) -> Tensor:
        """At the best threshold for all images so far; NaN without labels."""
        f = 2 * self.matched / (self.predicted + self.true).clamp(min=1)
        return torch.where(self.labels > 0, f.max(), torch.nan)


def thinned(edges: Float[Tensor, "batch 1 height width"]) -> Float[Tensor, "batch 1 height width"]:
    """Lines of full width cut down to their crests; 0 where a neighbour across is higher.

    The direction across is that of the steepest change, told to 45 degrees: a slanting line may
    stay two pixels wide.

    Source: J. Canny, "A Computational Approach to Edge Detection", TPAMI 1986, section VIII.
    """
    padded = nn.functional.pad(edges, (1, 1, 1, 1), mode="replicate")
    sides = [
        (_shifted(padded, row, column), _shifted(padded, -row, -column))
        for row, column in ((0, 1), (1, 1), (1, 0), (1, -1))
    ]
    changes = torch.stack(
        [
            # a diagonal step is longer by the root of two
            torch.maximum((edges - one).abs(), (edges - other).abs()) / (1 + number % 2) ** 0.5
            for number, (one, other) in enumerate(sides)
        ]
    )
    higher = torch.stack([torch.maximum(one, other) for one, other in sides])
    across = higher.gather(0, changes.argmax(dim=0, keepdim=True))[0]
    return torch.where(edges >= across, edges, 0)


def _shifted(padded: Tensor, row: int, column: int) -> Tensor:
    height, width = padded.shape[-2] - 2, padded.shape[-1] - 2
    return padded[..., 1 + row : 1 + row + height, 1 + column : 1 + column + width]


def matches(
    predicted: Bool[np.ndarray, "batch height width"], true: Bool[np.ndarray, "batch height width"]
) -> int:
    """How many predicted pixels find a true one of their own within the tolerance."""
    reach = TOLERANCE * float(np.hypot(*true.shape[1:]))
    rim = int(reach)
    # with a rim, a step is one number, and none leaves its image
    around = ((0, 0), (rim, rim), (rim, rim))
    steps = [down * (true.shape[2] + 2 * rim) + right for down, right in _offsets(reach)]
    free = np.pad(true, around).ravel()
    partner = np.full(free.size, -1)
    left = _match_nearest(np.flatnonzero(np.pad(predicted, around)), free, partner, steps)
    _match_by_giving_way(left, free, partner, steps)
    return int((partner >= 0).sum())


def _match_nearest(
    ours: _Places, free: Bool[np.ndarray, " all"], partner: _Places, steps: list[int]
) -> _Places:
    """Match what is free, near pixels first; gives back which of ours are left."""
    for step in steps:
        there = ours + step
        fits = free[there]
        partner[there[fits]] = ours[fits]
        free[there[fits]] = False
        ours = ours[~fits]
    return ours


def _match_by_giving_way(
    ours: _Places, free: Bool[np.ndarray, " all"], partner: _Places, steps: list[int]
) -> None:
    """Match where a neighbour's partner can go elsewhere: paths of three steps."""
    ours = ours[np.any([partner[ours + step] >= 0 for step in steps], axis=0)]
    for step, other in product(steps, steps):
        if not len(ours) or not free.any():
            return
        there = ours + step
        holder = partner[there]
        beyond = holder + other
        fits = (holder >= 0) & free[beyond]
        partner[beyond[fits]] = holder[fits]
        partner[there[fits]] = ours[fits]
        free[beyond[fits]] = False
        ours = ours[~fits]


def _offsets(reach: float) -> list[tuple[int, int]]:
    """Steps (down, right) that are no longer than that, short ones first."""
    steps = range(-int(reach), int(reach) + 1)
    within = [offset for offset in product(steps, steps) if np.hypot(*offset) <= reach]
    return sorted(within, key=lambda offset: float(np.hypot(*offset)))
