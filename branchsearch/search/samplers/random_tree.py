"""Trees at random, each with the same probability: what every other sampler has to beat."""

from collections.abc import Callable

from branchsearch.search.candidate import drawn
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.proposing import ProposingSampler


def random_tree(problem: Problem) -> Callable[[int], ProposingSampler]:
    """Every tree within the budget with the same probability, however many there are.

    What is tuned beside the tree is drawn first, uniformly over its range.
    """
    return lambda seed: ProposingSampler(
        lambda _study, _trial, random: drawn(problem, random), problem, seed=seed
    )
