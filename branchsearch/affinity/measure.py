"""What every measure of affinity gives, and what it reads."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from jaxtyping import Float


class Reads(StrEnum):
    """What a measure compares tasks by, see ``branchsearch.affinity.evidence``."""

    FEATURES = "features"
    GRADIENTS = "gradients"
    LOSSES = "losses"
    GAINS = "gains"


@dataclass(frozen=True, slots=True)
class Estimate:
    """How alike T tasks are at S stages, and how sure that is.

    Attributes:
        values: Affinities; ``values[s, i, j]`` is high where sharing stage s with task j suits
            task i. Symmetric, unless the measure says otherwise.
        low: Lower ends of 95 % intervals; NaN where the measure cannot tell.
        high: Upper ends.
        chance: In (0, 1]: how often tasks that have nothing in common would look at least as far
            from 0 as these; NaN where the measure cannot tell, 1 on the diagonal.
    """

    values: Float[np.ndarray, "S T T"]
    low: Float[np.ndarray, "S T T"]
    high: Float[np.ndarray, "S T T"]
    chance: Float[np.ndarray, "S T T"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One way to compare tasks; the catalog's affinities are such values.

    Attributes:
        reads: Which evidence it takes.
        symmetric: Whether [s, i, j] and [s, j, i] are always the same.
        values: From the evidence of S stages and T tasks to affinities of shape [S, T, T]; a pure
            function.
        estimate: The same with intervals: ``estimate(evidence, draws=..., seed=...)``, where
            ``draws`` is the number of resamplings and of permutations; 0 leaves NaN.
    """

    reads: Reads
    symmetric: bool
    values: Callable[[Any], Float[np.ndarray, "S T T"]]
    estimate: Callable[..., Estimate]
