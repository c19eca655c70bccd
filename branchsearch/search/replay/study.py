"""An Optuna study in memory, told what a table says as a job tells what it trained.

Its trials carry what ``branchsearch.search.trials.StudyTrials`` writes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from branchsearch.search.outcome import OUTCOME, Outcome
from branchsearch.search.parameters import distributions, params_of, tree_of
from branchsearch.search.samplers.estimating import Estimates
from branchsearch.space.space import Space
from branchsearch.tree import Tree

#: Makes the sampler of a seed.
MakeSampler = Callable[[int], BaseSampler]

#: From a proposal to the tree that is taken; the generator decides between equals.
Settle = Callable[[Tree, np.random.Generator], Tree]


@dataclass(frozen=True, slots=True)
class Found:
    """What came out of training a tree.

    Attributes:
        gains: Of each task, higher is better; their mean is the trial's value.
        more: Further user attributes, such as costs.
    """

    gains: Mapping[str, float]
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def delta(self) -> float:
        """The mean gain."""
        return fmean(self.gains.values())

    def attributes(self, tree: Tree) -> dict[str, Any]:
        """The user attributes of a trial that has ended."""
        each = {f"gain/{task}": gain for task, gain in self.gains.items()}
        told = {"tree": str(tree), "delta": self.delta, OUTCOME: Outcome.COMPLETE}
        return {**self.more, **each, **told}


class Search:
    """A sampler at work: asked for trees, told what came out.

    Args:
        space: What the study's parameters name.
        sampler: Makes the sampler of a seed; called anew for every proposal.
        settle: Turns a proposal into the tree to train.
        seed: Of every random draw, together with the number of trials so far.
    """

    def __init__(
        self, space: Space, sampler: MakeSampler, settle: Settle, *, seed: Sequence[int]
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="maximize")
        self._space, self._make, self._settle = space, sampler, settle
        self._seed = tuple(seed)
        self._ranges: dict[str, BaseDistribution] = dict(distributions(space))
        self._trials = 0
        self._made: tuple[int, BaseSampler] | None = None

    def add(self, tree: Tree, found: Found) -> None:
        """Tell of a tree that the sampler did not propose."""
        self._study.add_trial(
            create_trial(
                params=params_of(self._space, tree),
                distributions=self._ranges,
                value=found.delta,
                user_attrs=found.attributes(tree),
            )
        )
        self._trials += 1

    def ask(self) -> tuple[Trial, Tree]:
        """Ask for the next tree; its trial is RUNNING until it is told."""
        ties = np.random.default_rng((*self._seed, self._trials, 1))
        inner = self._sampler()
        self._study.sampler = _Settled(inner, self._space, lambda tree: self._settle(tree, ties))
        trial = self._study.ask(self._ranges)
        _ = trial.relative_params  # Optuna asks no sampler where all have but one value
        self._trials += 1
        tree = tree_of(self._space, trial.params)
        trial.set_user_attr("tree", str(tree))
        return trial, tree

    def tell(self, trial: Trial, tree: Tree, found: Found) -> None:
        """Tell what came out of a tree that was asked."""
        for name, value in found.attributes(tree).items():
            trial.set_user_attr(name, value)
        self._study.tell(trial, found.delta)

    def estimates(self, trees: Sequence[Tree]) -> np.ndarray | None:
        """How good the sampler takes trees to be, shape [N]; None where it does not say.

        The sampler that is asked next is the one that answers: what it works out serves both.
        """
        sampler = self._sampler()
        return sampler.estimates(self._study, trees) if isinstance(sampler, Estimates) else None

    def _sampler(self) -> BaseSampler:
        """The sampler of the next proposal."""
        if self._made is None or self._made[0] != self._trials:
            seed = np.random.SeedSequence((*self._seed, self._trials)).generate_state(1)
            self._made = self._trials, self._make(int(seed[0]))
        return self._made[1]


class _Settled(BaseSampler):
    """Passes another sampler's proposals on as the trees that are taken for them."""

    def __init__(self, inner: BaseSampler, space: Space, settle: Callable[[Tree], Tree]) -> None:
        self._inner, self._space, self._settle = inner, space, settle

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {
            **self._inner.infer_relative_search_space(study, trial),
            **distributions(self._space),
        }

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002  # Optuna's signature
    ) -> dict[str, Any]:
        relative = self._inner.infer_relative_search_space(study, trial)
        proposal = self._inner.sample_relative(study, trial, relative)
        for name, values in distributions(self._space).items():
            if name not in proposal:
                proposal[name] = self._inner.sample_independent(study, trial, name, values)
        proposed = tree_of(self._space, proposal)
        taken = self._settle(proposed)
        return proposal if taken == proposed else {**proposal, **params_of(self._space, taken)}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401  # Optuna's signature
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._inner.after_trial(study, trial, state, values)
