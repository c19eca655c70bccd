"""What a trial tries: a tree, and what is chosen beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from branchsearch.search.parameters import distributions, params_of, tree_of, tree_of_trial
from branchsearch.search.problem import Problem
from branchsearch.search.tuned import Choices, Tuned
from branchsearch.space.space import EmptySpace
from branchsearch.tree import Tree

#: So many choices that leave no tree within the budget, and that is given up.
_PATIENCE = 200


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tree with what is tuned beside it; the same tree with other choices is another one.

    Attributes:
        tree: The tree.
        choices: Empty where nothing is tuned.
    """

    tree: Tree
    choices: Choices = ()


def ranges(problem: Problem) -> dict[str, BaseDistribution]:
    """The parameters of a trial: the tree's first, then the tuned ones'."""
    tuned = problem.tuned.ranges if problem.tuned else {}
    return {**distributions(problem.space), **tuned}


def own(problem: Problem, tree: Tree) -> Candidate:
    """A tree with the job's own choices."""
    return Candidate(tree, problem.tuned.own if problem.tuned else ())


def params_of_candidate(problem: Problem, candidate: Candidate) -> dict[str, Any]:
    """The parameters that name a candidate."""
    return {**params_of(problem.space, candidate.tree), **dict(candidate.choices)}


def candidate_of(problem: Problem, params: Mapping[str, Any]) -> Candidate:
    """The candidate that parameters within their ranges name; others are passed over."""
    chosen = problem.tuned.of(params) if problem.tuned else ()
    assert chosen is not None, params  # from a sampler, which was told the ranges
    return Candidate(tree_of(problem.space, params), chosen)


def candidate_of_trial(problem: Problem, trial: FrozenTrial) -> Candidate | None:
    """What a trial in any state tries; None where its parameters do not say, see ``tree_of_trial``.

    That is so, too, while a tree waits for which nobody has chosen what is tuned beside it.
    """
    tree, chosen = tree_of_trial(problem.space, trial), choices_of_trial(problem.tuned, trial)
    return None if tree is None or chosen is None else Candidate(tree, chosen)


def choices_of_trial(tuned: Tuned | None, trial: FrozenTrial) -> Choices | None:
    """What is chosen beside the tree of a trial in any state; None where it does not say."""
    if tuned is None:
        return ()
    return tuned.of({**trial.system_attrs.get("fixed_params", {}), **trial.params})


def drawn(problem: Problem, random: Random) -> Candidate:
    """Choices at random, then each tree that the budget allows with them with equal probability.

    Raises:
        EmptySpace: No tree is allowed, or with none of the choices drawn.
    """
    if problem.tuned is None:
        return Candidate(problem.allowed.sample(random))
    for _ in range(_PATIENCE):
        choices = problem.tuned.drawn(random)
        try:
            return Candidate(problem.allowed_with(choices).sample(random), choices)
        except EmptySpace:
            continue
    raise EmptySpace(f"{_PATIENCE} choices drawn at random leave no tree within the budget")
