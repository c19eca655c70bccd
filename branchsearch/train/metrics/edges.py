"""How well edges are found, give or take a pixel or two.

Source: D. Martin, C. Fowlkes and J. Malik, "Learning to Detect Natural Image Boundaries Using Local
Brightness, Color, and Texture Cues", TPAMI 2004, section 3: predicted and true edge pixels are
matched one to one within a distance, at every threshold; F of all images together at the best
threshold ("optimal dataset scale" since P. Arbelaez et al., TPAMI 2011).

What differs from the benchmark's own programme: it finds the matching of least total distance, we
one of most pairs, which can only match as many or more; it thins predictions by morphology after
the threshold, we keep, before it, the pixels that no neighbour across the line exceeds; it takes 99
thresholds, we 19; and it has several people's drawings per image, we one.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from torch import Tensor, nn
from torchmetrics import Metric

from branchsearch.task import Task
from branchsearch.train.labels import known

#: How far apart two pixels may be and match, as a share of the image's diagonal.
TOLERANCE = 0.0075

#: Probabilities from which on a pixel is taken for an edge.
THRESHOLDS = tuple(number / 20 for number in range(1, 20))


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
    if reach < 1:
        return int((predicted & true).sum())
    ours, theirs = _numbered(predicted), _numbered(true)
    pairs = [_pairs(ours, theirs, *offset) for offset in _offsets(reach)]
    rows, columns = np.concatenate(pairs, axis=1)
    ones = np.ones(len(rows), np.int8)
    graph = coo_array((ones, (rows, columns)), shape=(ours.max() + 1, theirs.max() + 1)).tocsr()
    if 0 in graph.shape:
        return 0
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def _numbered(
    pixels: Bool[np.ndarray, "batch height width"],
) -> Int[np.ndarray, "batch height width"]:
    """Numbers from 0 where there are pixels, -1 elsewhere."""
    numbers: np.ndarray = np.where(pixels, pixels.cumsum().reshape(pixels.shape) - 1, -1)
    return numbers


def _offsets(reach: float) -> list[tuple[int, int]]:
    """Steps (down, right) that are no longer than that."""
    steps = range(-int(reach), int(reach) + 1)
    return [(down, right) for down in steps for right in steps if np.hypot(down, right) <= reach]


def _pairs(
    ours: Int[np.ndarray, "batch height width"],
    theirs: Int[np.ndarray, "batch height width"],
    down: int,
    right: int,
) -> Int[np.ndarray, "2 n"]:
    """Numbers of our and their pixels, theirs being that much further down and right."""
    one = ours[:, _inside(-down), _inside(-right)]
    other = theirs[:, _inside(down), _inside(right)]
    both = (one >= 0) & (other >= 0)
    return np.stack([one[both], other[both]])


def _inside(step: int) -> slice:
    """What is left of an axis when a step's worth is cut off: of its start, or of its end."""
    return slice(step, None) if step >= 0 else slice(None, step)
