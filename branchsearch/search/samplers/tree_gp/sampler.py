"""A sampler that learns from every training which trees are worth one.

Each task's gain is a Gaussian process over trees (``posterior``). The search begins with both
extremes, goes on where it knows least, and then where the upper confidence bound of the mean gain
is highest; with costs among the objectives where the hypervolume is expected to grow most. Costs
are known exactly and never modelled. What trains at the moment counts as observed at its mean, so
that proposals made side by side differ.
"""

from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import torch
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial
from torch import Tensor

from branchsearch.search.candidate import Candidate, own
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.proposing import ProposingSampler
from branchsearch.search.samplers.tree_gp.acquisition import hypervolume_gain, optimistic, quality
from branchsearch.search.samplers.tree_gp.candidates import beside, bred, listed, with_choices
from branchsearch.search.samplers.tree_gp.memory import Memory
from branchsearch.search.samplers.tree_gp.observations import Told, pending, told
from branchsearch.search.samplers.tree_gp.paths import Pool, pool_of
from branchsearch.search.samplers.tree_gp.posterior import (
    Layout,
    Observations,
    Posterior,
    Weighed,
    weigh,
)
from branchsearch.space.cost import COSTS
from branchsearch.space.extremes import extremes
from branchsearch.space.space import EmptySpace
from branchsearch.tree import Tree

#: What one unit of affinity is worth beforehand, in units of the gains' spread.
_SLOPE = 0.5

#: With fewer trainings than this, finished or not, the next one is made where least is known.
_EXPLORED = 7

#: Hyperparameters are weighed anew whenever there are so many times more trainings.
_GROWTH = 1.2


def tree_gp(problem: Problem) -> Callable[[int], "TreeGPSampler"]:
    """Gaussian processes over trees, one per task; see the module.

    Args:
        problem: Has the trees, the costs, the budget and the affinity.
    """
    memory = Memory()
    return lambda seed: TreeGPSampler(problem, memory, seed=seed)


def weighed_at(count: int) -> int:
    """From how many trainings hyperparameters come when there are so many: from all up to 20."""
    at = min(count, 20)
    while (later := int(at * _GROWTH)) <= count and at >= 20:
        at = later
    return at


class TreeGPSampler(ProposingSampler):
    """Proposes by Gaussian processes over trees.

    Args:
        problem: What is searched.
        memory: Shared by samplers of one problem: what one has worked out the next need not. Only
            time depends on it.
        seed: Of all random draws.
    """

    def __init__(self, problem: Problem, memory: Memory, *, seed: int) -> None:
        super().__init__(self._next, problem, seed=seed)
        self._memory = memory
        self._layout = Layout(problem.space.stages, max(len(problem.space.tasks) - 1, 1))

    def estimates(self, study: Study, trees: Sequence[Tree]) -> np.ndarray:
        """The posterior mean of trees' mean gain, shape [N]."""
        posterior = self._posterior(told(study, self._problem, _objectives(study).index("delta")))
        pool = self._pool([own(self._problem, tree) for tree in trees])
        found: np.ndarray = quality(posterior.of(pool))[0].numpy()
        return found

    def _next(self, study: Study, trial: FrozenTrial, random: Random) -> Candidate:
        objectives = _objectives(study)
        facts = told(study, self._problem, objectives.index("delta"))
        waiting = sorted(pending(study, self._problem, facts.candidates, trial.number), key=str)
        tried = {*facts.candidates, *waiting}
        for tree in extremes(self._problem.space):
            extreme = own(self._problem, tree)
            allowed = self._problem.allows(tree, extreme.choices)
            if len(tried) < 2 and allowed and extreme not in tried:
                return extreme
        posterior = self._posterior(facts, waiting)

        def promise(candidates: Sequence[Candidate]) -> np.ndarray:
            mean_M, deviation_M = quality(posterior.of(self._pool(candidates)))
            if len(tried) < _EXPLORED:
                promised = deviation_M
            elif set(objectives) <= {"delta", *COSTS} and len(objectives) > 1:
                costs_MJ = self._costs(candidates, objectives)
                promised = _volume(facts, objectives, mean_M, deviation_M, costs_MJ)
            else:
                promised = optimistic(mean_M, deviation_M)
            found: np.ndarray = promised.numpy()
            return found

        candidates = self._candidates(facts, promise, random)
        promised = promise(candidates) if candidates else np.empty(0)
        order: list[int] = np.argsort(-promised, kind="stable").tolist()
        for place in order:
            if candidates[place] not in tried:
                return candidates[place]
        raise EmptySpace("everything has a trial")

    def _candidates(
        self,
        facts: Told,
        promise: Callable[[Sequence[Candidate]], np.ndarray],
        random: Random,
    ) -> Sequence[Candidate]:
        best_first = np.argsort(-facts.gains_NT.mean(1), kind="stable")
        starts = [facts.candidates[place] for place in best_first[:20]]
        if self._problem.tuned:
            return with_choices(self._problem, starts, random)
        every = listed(self._problem.allowed)
        return bred(self._problem, promise, starts, random) if every is None else every

    def _costs(self, candidates: Sequence[Candidate], objectives: Sequence[str]) -> Tensor:
        """Shape [M, J - 1], negative, so that higher is better."""
        columns = [name for name in objectives if name != "delta"]
        costs = [self._problem.cost(one.tree, one.choices) for one in candidates]
        return -torch.tensor([[getattr(cost, name) for name in columns] for cost in costs]).double()

    def _posterior(self, facts: Told, waiting: Sequence[Candidate] = ()) -> Posterior:
        posterior = self._memory.posterior(
            facts, lambda: self._trained(self._observed(facts), self._weighed(facts))
        )
        if not waiting:
            return posterior
        pool = self._pool(waiting)
        believed = Observations(
            pool.paths, posterior.of(pool).mean, torch.zeros(pool.place_TM.shape).double()
        )
        observed = self._observed(facts)
        return self._trained(observed.and_then(believed), self._weighed(facts))

    def _trained(self, observed: Observations, weighed: Weighed) -> Posterior:
        return Posterior(observed, weighed, self._layout, slope=_SLOPE)

    def _weighed(self, facts: Told) -> Weighed:
        first = facts.first(weighed_at(len(facts.candidates)))
        return self._memory.weighed(first, lambda: weigh(self._observed(first), self._layout))

    def _observed(self, facts: Told) -> Observations:
        gains_TN = torch.from_numpy(facts.gains_NT.T.copy())
        blur_TN = torch.from_numpy(facts.blur_NT.T.copy())
        if facts.candidates:
            return Observations(self._pool(facts.candidates).paths, gains_TN, blur_TN)
        any_tree = self._pool([own(self._problem, extremes(self._problem.space)[0])])
        return Observations(any_tree.paths[:, :0], gains_TN, blur_TN)

    def _pool(self, candidates: Sequence[Candidate]) -> Pool:
        return self._memory.pool(
            candidates,
            lambda: pool_of(
                [one.tree for one in candidates],
                self._problem.affinity,
                beside(self._problem, candidates),
            ),
        )


def _objectives(study: Study) -> list[str]:
    """What the study's values are; where nobody named them, delta is the first to be maximised."""
    if study.metric_names and "delta" in study.metric_names:
        return list(study.metric_names)
    ways = study.directions
    delta = ways.index(StudyDirection.MAXIMIZE) if StudyDirection.MAXIMIZE in ways else 0
    return ["delta" if place == delta else f"value {place}" for place in range(len(ways))]


def _volume(
    facts: Told, objectives: Sequence[str], mean_M: Tensor, deviation_M: Tensor, costs_MJ: Tensor
) -> Tensor:
    """Expected growth of the hypervolume, shape [M]; objectives in shares of their range."""
    signs_J = np.array([1.0 if name == "delta" else -1.0 for name in objectives])
    values_NJ = facts.objectives_NJ[np.isfinite(facts.objectives_NJ).all(1)] * signs_J
    if not len(values_NJ):
        return optimistic(mean_M, deviation_M)
    first = [objectives.index("delta")]
    order = first + [place for place in range(len(objectives)) if place not in first]
    front_NJ = torch.from_numpy(values_NJ[:, order])
    low_J = torch.cat([front_NJ[:, :1].amin(0), costs_MJ.amin(0)])
    high_J = torch.cat([front_NJ[:, :1].amax(0), costs_MJ.amax(0)])
    range_J = (high_J - low_J).clamp(min=1e-9)
    return hypervolume_gain(
        (mean_M - low_J[0]) / range_J[0],
        deviation_M / range_J[0],
        (costs_MJ - low_J[1:]) / range_J[1:],
        (front_NJ - low_J) / range_J,
        torch.full_like(low_J, -0.1),
    )
