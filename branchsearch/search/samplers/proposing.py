"""An Optuna sampler from a function that proposes a tree."""

from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from branchsearch.search.candidate import Candidate, own, params_of_candidate, ranges
from branchsearch.search.problem import Problem
from branchsearch.space.extremes import extremes
from branchsearch.space.space import EmptySpace

#: From a study and the trial that asks to what the trial is to try. Whoever wraps the sampler asks
#: again where that has a trial already or is over the budget; ``EmptySpace`` says there is nothing.
Propose: TypeAlias = Callable[[Study, FrozenTrial, Random], Candidate]


class ProposingSampler(BaseSampler):
    """Proposes what a function does; keeps nothing of its own.

    Args:
        propose: Reads the study, and makes all its random draws with what it is handed.
        problem: Says what the study's parameters name.
        seed: Of the proposal, and of parameters beside the problem's.
    """

    def __init__(self, propose: Propose, problem: Problem, *, seed: int) -> None:
        self._propose = propose
        self._problem = problem
        self._random = Random(seed)
        self._others = RandomSampler(seed=seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that name a candidate."""
        return ranges(self._problem)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Name what the function proposes; the tree that shares most where it has nothing."""
        try:
            candidate = self._propose(study, trial, self._random)
        except EmptySpace:
            candidate = own(self._problem, extremes(self._problem.space)[0])
        return params_of_candidate(self._problem, candidate)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401  # Optuna's signature
        """A parameter beside the problem's: at random."""
        return self._others.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Let copies in other processes draw differently."""
        self._random.seed()
        self._others.reseed_rng()
