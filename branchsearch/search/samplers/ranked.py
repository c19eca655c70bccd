"""Tries trees best first: the honest way to use a ranking that some affinity made."""

from collections.abc import Callable, Iterable
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from branchsearch.search.outcome import known_trees
from branchsearch.search.parameters import distributions, params_of
from branchsearch.search.problem import Problem
from branchsearch.space.criterion import ranking
from branchsearch.space.extremes import extremes
from branchsearch.space.space import Space
from branchsearch.tree import Tree


class RankedSampler(BaseSampler):
    """Proposes each tree of a ranking once, in order; the last one again when none is left.

    Keeps nothing of its own: what was tried is read from the study, so a restarted search goes on
    where the killed one stopped.

    Args:
        ranking: Trees of the space, best first; where there is none, it proposes to share all.
        space: What the study's parameters name.
        seed: For parameters beside the tree.
    """

    def __init__(self, ranking: Iterable[Tree], space: Space, *, seed: int) -> None:
        self._ranking = tuple(ranking)
        self._last = self._ranking[-1] if self._ranking else extremes(space)[0]
        self._space = space
        self._others = RandomSampler(seed=seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that name a tree."""
        return dict(distributions(self._space))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Name the best tree that no other trial has."""
        known = known_trees(study, self._space, but=trial.number)
        left = (tree for tree in self._ranking if tree not in known)
        return dict(params_of(self._space, next(left, self._last)))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401  # Optuna's signature
        """A parameter beside the tree: at random."""
        return self._others.sample_independent(study, trial, param_name, param_distribution)


def ranked_by_affinity(
    problem: Problem, *, criterion: str = "mean"
) -> Callable[[int], RankedSampler]:
    """Allowed trees in the order of an affinity, see ``branchsearch.space.criterion``.

    Args:
        problem: Has the affinity and the budget.
        criterion: ``mean`` over a stage's branches, as in the paper, or ``sum``.
    """
    best_first = ranking(problem.allowed, problem.affinity, form=criterion)
    return lambda seed: RankedSampler(best_first, problem.space, seed=seed)
