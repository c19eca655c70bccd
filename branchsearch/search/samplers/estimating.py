"""What a sampler may tell beside its proposals: how good it takes trees to be."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from optuna.study import Study

from branchsearch.tree import Tree


@runtime_checkable
class Estimates(Protocol):
    """A sampler that can say how good trees are expected to be, trained or not.

    Who has it recommends the trained tree with the highest estimate, not the luckiest observation.
    """

    def estimates(self, study: Study, trees: Sequence[Tree]) -> np.ndarray:
        """The expected quality of trees, from what the study's finished trials say alone.

        Args:
            study: Single-objective; its trials carry what ``StudyTrials`` writes.
            trees: Of the problem's space, trained or not; N of them.

        Returns:
            Shape [N], finite, in the unit of the study's value; higher is better.
        """
        ...
