"""Scores of a stage that depend on all of its branches together, such as a mean over them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from branchsearch.space.tables import BranchNumbers, number_of
from branchsearch.tree import Tree


@dataclass(frozen=True, slots=True)
class StageScore:
    """A tree's score as a sum over stages, each a function of its branches' numbers.

    Attributes:
        branch: What each branch counts.
        stage: From a stage's number and its branches' numbers, in any order, to what the stage adds
            to a tree's score; lower is better.
    """

    branch: BranchNumbers
    stage: Callable[[int, Sequence[float]], float]

    def of(self, tree: Tree) -> float:
        """The score of a whole tree."""
        return sum(
            self.stage(
                number, [number_of(self.branch, number, frozenset(b)) for b in tree.members(number)]
            )
            for number in range(len(tree.branches))
        )


def additive(branch: BranchNumbers) -> StageScore:
    """The score that is the sum over all branches."""
    return StageScore(branch, lambda _, numbers: sum(numbers))
