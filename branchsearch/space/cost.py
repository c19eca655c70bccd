"""What a tree costs, known before its network is built.

Parameters and multiply-adds add up: a tree costs the sum of its branches' stages and its heads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from branchsearch.tree import Tree


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network, or a part of one, takes.

    Attributes:
        parameters: Trained numbers.
        multiply_adds: Multiply-adds of convolutions and matrix products, per image.
    """

    parameters: int
    multiply_adds: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.parameters + other.parameters, self.multiply_adds + other.multiply_adds)

    def __mul__(self, copies: int) -> "Cost":
        return Cost(copies * self.parameters, copies * self.multiply_adds)


#: The costs that a budget may bound.
COSTS = ("parameters", "multiply_adds")


@dataclass(frozen=True, slots=True)
class CostTable:
    """The cost of one copy of each stage and of each task's head.

    Attributes:
        stages: Shape [S], input side first.
        heads: One entry per task.
    """

    stages: tuple[Cost, ...]
    heads: Mapping[str, Cost]

    def of(self, tree: Tree) -> Cost:
        """The cost of a tree's whole network."""
        parts = [stage * width for stage, width in zip(self.stages, tree.widths, strict=True)]
        return sum((*parts, *(self.heads[task] for task in tree.tasks)), start=Cost(0, 0))

    def branch(self, name: str) -> Callable[[int, frozenset[str]], int]:
        """One of the costs as a number per stage and branch, the form that the solver takes.

        A branch of the last stage pays for the heads of its tasks.
        """
        stages = [getattr(stage, name) for stage in self.stages]
        heads = {task: getattr(head, name) for task, head in self.heads.items()}

        def cost(stage: int, branch: frozenset[str]) -> int:
            last = stage == len(stages) - 1
            number: int = stages[stage] + (sum(heads[task] for task in branch) if last else 0)
            return number

        return cost


def fits(cost: Cost, budget: Mapping[str, int]) -> bool:
    """Whether no cost passes its bound; the budget's keys are among ``COSTS``."""
    return all(getattr(cost, name) <= most for name, most in budget.items())
