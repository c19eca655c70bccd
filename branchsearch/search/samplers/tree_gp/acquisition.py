"""How much a training of each tree promises.

Shape letters: T = tasks, M = trees, B = cells of a box decomposition, J = objectives.
"""

import math

import torch
from botorch.utils.multi_objective.box_decompositions import FastNondominatedPartitioning
from torch import Tensor

from branchsearch.search.samplers.tree_gp.posterior import Belief

#: Standard deviations that optimism adds to the mean.
OPTIMISM = 1.5


def quality(belief: Belief) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the tasks' mean gain, shape [M] each; tasks are independent."""
    return belief.mean.mean(0), belief.variance.sum(0).sqrt() / len(belief.mean)


def optimistic(mean_M: Tensor, deviation_M: Tensor) -> Tensor:
    """Upper confidence bound (N. Srinivas et al., ICML 2010), shape [M]."""
    return mean_M + OPTIMISM * deviation_M


def hypervolume_gain(
    mean_M: Tensor, deviation_M: Tensor, known_MJ: Tensor, front_NJ: Tensor, worst_J: Tensor
) -> Tensor:
    """Expected growth of the dominated hypervolume, shape [M]; the first objective is unsure.

    Exact: inside a cell of the decomposition the volume gained is a product over objectives, of
    which only the first is random. Source of the decomposition: R. Lacour et al., "A Box
    Decomposition Algorithm to Compute the Hypervolume Indicator", 2017, as BoTorch has it.

    Args:
        mean_M: Of the first objective, higher is better.
        deviation_M: Of the first objective.
        known_MJ: The other objectives' values, higher is better; [M, J - 1].
        front_NJ: What was observed; any points, at least one.
        worst_J: The reference point.
    """
    cells = FastNondominatedPartitioning(ref_point=worst_J, Y=front_NJ).get_hypercell_bounds()
    lower_BJ, upper_BJ = cells
    first_MB = _excess(mean_M, deviation_M, lower_BJ[:, 0]) - _excess(
        mean_M, deviation_M, upper_BJ[:, 0]
    )
    rest_MBJ = (
        torch.minimum(known_MJ[:, None], upper_BJ[None, :, 1:]) - lower_BJ[None, :, 1:]
    ).clamp(min=0)
    grown_M: Tensor = (first_MB.clamp(min=0) * rest_MBJ.prod(-1)).sum(-1)
    return grown_M


def _excess(mean_M: Tensor, deviation_M: Tensor, bound_B: Tensor) -> Tensor:
    """Expectation of what exceeds each bound, shape [M, B]; 0 for an infinite one."""
    deviation_M1 = deviation_M[:, None]
    z_MB = (mean_M[:, None] - bound_B) / deviation_M1
    density_MB = (-0.5 * z_MB**2).exp() / math.sqrt(2 * math.pi)
    excess = deviation_M1 * (z_MB * torch.special.ndtr(z_MB) + density_MB)
    return torch.where(torch.isinf(bound_B), 0.0, excess)
