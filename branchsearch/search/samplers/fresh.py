"""Makes any sampler propose each allowed tree once."""

from collections.abc import Sequence
from copy import copy
from random import Random
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from branchsearch.search.candidate import (
    Candidate,
    candidate_of,
    drawn,
    params_of_candidate,
    ranges,
)
from branchsearch.search.problem import Problem
from branchsearch.search.tried import known_candidates
from branchsearch.search.tuned import Choices
from branchsearch.space.space import EmptySpace, Space

#: So many proposals in a row that are known or over the budget, and one is taken at random.
PATIENCE = 20

#: Spaces up to this size are listed to find the trees that are left, once few are left; larger ones
#: are drawn from, and so often in vain before they count as exhausted.
_LISTED, _DRAWN = 100_000, 1_000


class SpaceExhausted(Exception):
    """Every allowed tree has a trial."""


class FreshSampler(BaseSampler):
    """Asks another sampler until it names an allowed tree without a trial.

    Where more than the tree is tuned, a tree with other choices is another one. After ``PATIENCE``
    proposals in vain one is drawn from those that are left, uniformly where they can be counted.
    Neither repeats nor trees over the budget reach the study, so whatever learns from it sees
    trainings only. Keeps nothing of its own.

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
        """The parameters that name a candidate, and what else the inner sampler proposes."""
        relative = self._inner.infer_relative_search_space(study, trial)
        return {**relative, **ranges(self._problem)}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Name an allowed tree that no other trial has.

        Raises:
            SpaceExhausted: There is none.
        """
        if "fixed_params" in trial.system_attrs:
            return {}  # the tree was chosen when the trial was enqueued
        known = known_candidates(study, self._problem, but=trial.number)
        proposal: dict[str, Any] = {}
        for _ in range(PATIENCE):
            proposal = self._proposal(study, trial, search_space)
            candidate = candidate_of(self._problem, proposal)
            if candidate not in known and self._problem.allows(candidate.tree, candidate.choices):
                return proposal
        left = self._left_over(known)
        return {**proposal, **params_of_candidate(self._problem, left)}

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

    def _proposal(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Every parameter of a candidate, drawn one after another as Optuna would."""
        inferred = self._inner.infer_relative_search_space(study, trial)
        relative = {name: values for name, values in inferred.items() if name in search_space}
        proposal = self._inner.sample_relative(study, trial, relative)
        so_far = copy(trial)  # some samplers look at what was drawn before
        so_far.params, so_far.distributions = dict(trial.params), dict(trial.distributions)
        for name, values in ranges(self._problem).items():
            if name not in proposal:
                proposal[name] = self._inner.sample_independent(study, so_far, name, values)
            so_far.params[name], so_far.distributions[name] = proposal[name], values
        return proposal

    def _left_over(self, known: set[Candidate]) -> Candidate:
        """One of those that are left, each with the same probability where they can be counted."""
        counted = self._counted()
        if counted is None:
            return self._drawn(known)
        total = sum(space.count() for _, space in counted)
        taken = sum(self._problem.allows(one.tree, one.choices) for one in known)
        while taken < total / 2:  # half of the draws hit on average, and listing takes longer
            candidate = _at(counted, self._random.randrange(total))
            if candidate not in known:
                return candidate
        left = [
            candidate
            for choices, space in counted
            for tree in space
            if (candidate := Candidate(tree, choices)) not in known
        ]
        if not left:
            raise SpaceExhausted(f"all {total} allowed trees have a trial")
        return self._random.choice(left)

    def _counted(self) -> list[tuple[Choices, Space]] | None:
        """Every combination of choices with the trees it allows; None for too many to list."""
        tuned = self._problem.tuned
        combinations = [()] if tuned is None else tuned.combinations(_LISTED)
        counted, total = [], 0
        for choices in combinations or ():
            space = self._problem.allowed_with(choices)
            total += space.count() if space.countable else _LISTED + 1
            if total > _LISTED:
                return None
            counted.append((choices, space))
        return counted if combinations is not None else None

    def _drawn(self, known: set[Candidate]) -> Candidate:
        """One of too many to count, and by its choices first."""
        for _ in range(_DRAWN):
            try:
                candidate = drawn(self._problem, self._random)
            except EmptySpace as none:
                raise SpaceExhausted(str(none)) from none
            if candidate not in known:
                return candidate
        raise SpaceExhausted(f"{_DRAWN} trees drawn at random all have a trial")


def _at(counted: Sequence[tuple[Choices, Space]], rank: int) -> Candidate:
    """The candidate at a place among all that were counted."""
    for choices, space in counted:
        if rank < space.count():
            return Candidate(space.unrank(rank), choices)
        rank -= space.count()
    raise IndexError(rank)
