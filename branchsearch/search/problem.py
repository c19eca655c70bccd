"""What a search is about: which trees, what they cost, what is known of the tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from branchsearch.search.tuned import Choices, Tuned
from branchsearch.space.cost import Cost, CostTable
from branchsearch.space.space import Space
from branchsearch.tree import Tree


@dataclass(frozen=True, eq=False)
class Problem:
    """The trees to search, and what is known of them before any is trained.

    Attributes:
        space: Which trees may be built.
        costs: What they cost, where nothing is tuned or all choices are the job's own.
        budget: Upper bounds on costs, by the names in ``branchsearch.space.cost.COSTS``.
        affinity: Shape [S, T, T]: how alike the tasks are at each stage.
        tuned: What is searched beside the tree; None for the tree alone.
    """

    space: Space
    costs: CostTable
    budget: Mapping[str, int]
    affinity: np.ndarray
    tuned: Tuned | None = None

    def cost(self, tree: Tree, choices: Choices = ()) -> Cost:
        """What a tree costs."""
        return self._costs(choices).of(tree)

    @cached_property
    def allowed(self) -> Space:
        """The trees within the budget."""
        return self.allowed_with(())

    def allowed_with(self, choices: Choices) -> Space:
        """The trees within the budget if so much is chosen beside them."""
        return self.space.within(self._costs(choices), self.budget)

    def allows(self, tree: Tree, choices: Choices = ()) -> bool:
        """Whether a tree is in the space and within the budget."""
        return tree in (self.allowed_with(choices) if choices else self.allowed)

    def _costs(self, choices: Choices) -> CostTable:
        return self.tuned.costs(choices) if self.tuned and choices else self.costs
