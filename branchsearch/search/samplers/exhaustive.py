"""Every tree, one after another."""

from collections.abc import Callable
from random import Random

from optuna.study import Study
from optuna.trial import FrozenTrial

from branchsearch.search.candidate import Candidate
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.proposing import ProposingSampler
from branchsearch.search.tried import known_candidates
from branchsearch.space.space import EmptySpace

#: So many combinations of what is tuned beside the tree are gone through.
_COMBINATIONS = 10_000


def exhaustive(problem: Problem) -> Callable[[int], ProposingSampler]:
    """Every tree within the budget in the order of the space, from sharing most to sharing least.

    What is tuned beside the tree must have a finite number of values; for each combination of them
    the trees are gone through once.

    Args:
        problem: Has the trees and the budget.

    Raises:
        ValueError: The trees cannot be counted, or what is tuned has too many values to try all.
    """
    combinations = [()] if problem.tuned is None else problem.tuned.combinations(_COMBINATIONS)
    if combinations is None:
        raise ValueError(
            f"what is tuned has more than {_COMBINATIONS:,} combinations of values; "
            "give choices, or a step, or take random_tree"
        )
    spaces = [(choices, problem.allowed_with(choices)) for choices in combinations]
    for _, space in spaces:
        _ = space.count()  # refuses what cannot be counted

    def propose(study: Study, trial: FrozenTrial, _: Random) -> Candidate:
        known = known_candidates(study, problem, but=trial.number)
        candidates = (Candidate(tree, choices) for choices, space in spaces for tree in space)
        for candidate in candidates:
            if candidate not in known:
                return candidate
        raise EmptySpace("every allowed tree has a trial")

    return lambda seed: ProposingSampler(propose, problem, seed=seed)
