"""Makes any sampler propose each allowed tree once."""

from collections.abc import Sequence
from random import Random
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from branchsearch.search.outcome import known_trees
from branchsearch.search.parameters import distributions, params_of, tree_of
from branchsearch.search.problem import Problem
from branchsearch.space.space import EmptySpace
from branchsearch.tree import Tree

#: So many proposals in a row that are known or over the budget, and one is taken at random.
PATIENCE = 20

#: Spaces up to this size are listed to find the trees that are left; larger ones are drawn from,
#: and so often in vain before they count as exhausted.
_LISTED, _DRAWN = 100_000, 1_000


class SpaceExhausted(Exception):
    """Every allowed tree has a trial."""


class FreshSampler(BaseSampler):
    """Asks another sampler until it names an allowed tree without a trial.

    After ``PATIENCE`` proposals in vain a tree is drawn uniformly from those that are left. Neither
    repeats nor trees over the budget reach the study, so whatever learns from it sees trainings
    only. Keeps nothing of its own.

    Args:
        inner: Proposes.
        problem: Which trees are allowed.
        seed: Of the draw from those that are left.
    """

    def __init__(self, inner: BaseSampler, problem: Problem, *, seed: int) -> None:
        self._inner = inner
        self._problem = problem
        self._random = Random(seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that name a tree, and what else the inner sampler proposes at once."""
        relative = self._inner.infer_relative_search_space(study, trial)
        return {**relative, **distributions(self._problem.space)}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Name an allowed tree that no other trial has.

        Raises:
            SpaceExhausted: There is none.
        """
        if "fixed_params" in trial.system_attrs:
            return {}  # the tree was chosen when the trial was enqueued
        space = self._problem.space
        known = known_trees(study, space, but=trial.number)
        relative = self._inner.infer_relative_search_space(study, trial)
        proposal: dict[str, Any] = {}
        for _ in range(PATIENCE):
            proposal = self._inner.sample_relative(study, trial, relative)
            for name, values in distributions(space).items():
                if name not in proposal:
                    proposal[name] = self._inner.sample_independent(study, trial, name, values)
            tree = tree_of(space, proposal)
            if tree not in known and self._problem.allows(tree):
                return proposal
        return {**proposal, **params_of(space, self._left_over(known))}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401  # Optuna's signature
        """A parameter beside the tree, as the inner sampler draws it."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Let copies in other processes draw differently."""
        self._inner.reseed_rng()
        self._random.seed()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Pass on that a trial begins."""
        self._inner.before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Pass on that a trial ended."""
        self._inner.after_trial(study, trial, state, values)

    def _left_over(self, known: set[Tree]) -> Tree:
        allowed = self._problem.allowed
        if allowed.countable and allowed.count() <= _LISTED:
            left = [tree for tree in allowed if tree not in known]
            if not left:
                raise SpaceExhausted(f"all {len(known)} allowed trees have a trial")
            return self._random.choice(left)
        for _ in range(_DRAWN):
            try:
                tree = allowed.sample(self._random)
            except EmptySpace as none:
                raise SpaceExhausted(str(none)) from none
            if tree not in known:
                return tree
        raise SpaceExhausted(f"{_DRAWN} trees drawn at random all have a trial")
