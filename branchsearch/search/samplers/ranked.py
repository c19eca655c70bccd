"""Tries trees best first: the honest way to use a ranking that some affinity made."""

from collections.abc import Callable, Iterable, Iterator
from random import Random

from optuna.study import Study
from optuna.trial import FrozenTrial

from branchsearch.search.candidate import Candidate
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.proposing import ProposingSampler
from branchsearch.search.tried import known_candidates
from branchsearch.space.criterion import FORMS, in_order
from branchsearch.space.space import EmptySpace
from branchsearch.tree import Tree


def ranked_by_affinity(
    problem: Problem, *, criterion: str = "mean"
) -> Callable[[int], ProposingSampler]:
    """Allowed trees in the order of an affinity, see ``branchsearch.space.criterion``.

    Args:
        problem: Has the affinity and the budget.
        criterion: Of the largest dissimilarity in each branch the ``mean`` over a stage's branches,
            as in the paper, or their ``sum``; or the ``gain`` of the tasks of a branch from each
            other, which is the two-task estimate if the affinity is ``two_task``.

    Raises:
        ValueError: There is no such criterion.
    """
    if criterion not in FORMS:
        raise ValueError(f"the criterion is one of {', '.join(FORMS)}, not {criterion!r}")
    return ranked(in_order(problem.allowed, problem.affinity, form=criterion), problem)


def ranked(ranking: Iterable[Tree], problem: Problem) -> Callable[[int], ProposingSampler]:
    """Each tree of a ranking once, in order.

    What was tried is read from the study, so a restarted search goes on where the killed one
    stopped. What is tuned beside the tree is drawn at random, uniformly over its range.

    Args:
        ranking: Trees of the space, best first; read as far as needed.
        problem: Which trees there are.
    """
    best_first = _Remembered(ranking)

    def propose(study: Study, trial: FrozenTrial, random: Random) -> Candidate:
        choices = problem.tuned.drawn(random) if problem.tuned else ()
        known = {one.tree for one in known_candidates(study, problem, but=trial.number)}
        for tree in best_first:
            if tree not in known:
                return Candidate(tree, choices)
        raise EmptySpace("every tree of the ranking has a trial")

    return lambda seed: ProposingSampler(propose, problem, seed=seed)


class _Remembered:
    """Something that is made step by step, to be read again and again."""

    def __init__(self, made: Iterable[Tree]) -> None:
        self._rest = iter(made)
        self._read: list[Tree] = []

    def __iter__(self) -> Iterator[Tree]:
        place = 0
        while True:
            if place == len(self._read):
                following = next(self._rest, None)
                if following is None:
                    return
                self._read.append(following)
            yield self._read[place]
            place += 1
