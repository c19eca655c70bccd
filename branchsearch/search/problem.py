"""What a search is about: which trees, what they cost, what is known of the tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from branchsearch.space.cost import Cost, CostTable
from branchsearch.space.space import Space
from branchsearch.tree import Tree


@dataclass(frozen=True)
class Problem:
    """The trees to search, and what is known of them before any is trained.

    Attributes:
        space: Which trees may be built.
        costs: What they cost.
        budget: Upper bounds on costs, by the names in ``branchsearch.space.cost.COSTS``.
        affinity: Shape [S, T, T]: how alike the tasks are at each stage.
    """

    space: Space
    costs: CostTable
    budget: Mapping[str, int]
    affinity: np.ndarray

    def cost(self, tree: Tree) -> Cost:
        """What a tree costs."""
        return self.costs.of(tree)

    @cached_property
    def allowed(self) -> Space:
        """The trees within the budget."""
        return self.space.within(self.costs, self.budget)

    def allows(self, tree: Tree) -> bool:
        """Whether a tree is in the space and within the budget."""
        return tree in self.allowed
