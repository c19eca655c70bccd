"""Evolution: a good tree, changed by one step.

With one objective as in E. Real et al., "Regularized Evolution for Image Classifier Architecture
Search", AAAI 2019: the population is what was trained last, so that a lucky score dies with age.
With several as in K. Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II",
IEEE Transactions on Evolutionary Computation 2002: the population is the foremost fronts of all
that was trained, thinned out where it is crowded.

Shape letters: N = trials, M = objectives, all to be small.
"""

from collections.abc import Callable
from itertools import islice
from random import Random

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from branchsearch.search.candidate import Candidate, drawn
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.proposing import ProposingSampler
from branchsearch.search.tried import finished_candidates, known_candidates
from branchsearch.space.fronts import foremost
from branchsearch.space.neighbours import random_neighbour

#: So many steps from a parent that all lead to what is known, and the last one is proposed.
_STEPS = 50


def evolution(
    problem: Problem, *, population: int = 20, tournament: int = 5
) -> Callable[[int], ProposingSampler]:
    """The best of a few trials drawn from a population, changed by one step.

    A step merges two branches, splits one or moves what it feeds to its sibling; or draws one of
    the choices beside the tree anew. Where it leads to what has a trial, others follow it. Until
    the population is complete, candidates are drawn at random. Trials that were stopped early or
    failed are no parents.

    Args:
        problem: Has the trees and the budget.
        population: Trials among which parents are looked for, at least 2.
        tournament: How many of these are drawn, of which the best is the parent.

    Raises:
        ValueError: A number is out of range.
    """
    if not 1 <= tournament <= population or population < 2:
        raise ValueError(
            f"needs population >= 2 and 1 <= tournament <= population, got {population} and "
            f"{tournament}"
        )

    def propose(study: Study, trial: FrozenTrial, random: Random) -> Candidate:
        parents = _population(study, problem, population)
        if len(parents) < population:
            return drawn(problem, random)
        parent = min(random.sample(range(population), tournament))
        known = known_candidates(study, problem, but=trial.number)
        return _child(parents[parent], problem, known, random)

    return lambda seed: ProposingSampler(propose, problem, seed=seed)


def _population(study: Study, problem: Problem, size: int) -> list[Candidate]:
    """The trials among which a parent is looked for, best first."""
    tried = finished_candidates(study, problem)
    newest_first = (
        trial
        for trial in reversed(study.get_trials(deepcopy=False))
        if trial.state is TrialState.COMPLETE and trial.number in tried
    )
    one = len(study.directions) == 1
    complete = list(islice(newest_first, size if one else None))  # the others have died of age
    complete.reverse()
    if not complete:
        return []
    signs_M = [-1.0 if way is StudyDirection.MAXIMIZE else 1.0 for way in study.directions]
    losses_NM = np.array([trial.values for trial in complete]) * signs_M
    return [tried[complete[place].number] for place in nsga2_order(losses_NM, size)]


def nsga2_order(losses_NM: np.ndarray, most: int) -> list[int]:
    """The foremost points, front by front, in each the least crowded ones first.

    Args:
        losses_NM: At least one point.
        most: How many are wanted.

    Returns:
        Their places; fewer than asked for where there are fewer.
    """
    # infinite losses have a rank, but no distance
    losses_NM = np.nan_to_num(losses_NM)
    left = np.arange(len(losses_NM))
    order: list[int] = []
    while len(left) and len(order) < most:
        front = foremost(losses_NM[left, :-1], losses_NM[left, -1], 1)
        least_crowded = np.argsort(-crowding(losses_NM[left[front]]), kind="stable")
        order += left[front[least_crowded]].tolist()
        left = np.delete(left, front)
    return order[:most]


def crowding(losses_NM: np.ndarray) -> np.ndarray:
    """How far the neighbours of each point of a front are apart, shape [N], in shares of the range.

    Summed over the objectives; infinite at the ends.
    """
    points, objectives = losses_NM.shape
    distance_N = np.zeros(points)
    for objective in range(objectives):
        order = np.argsort(losses_NM[:, objective], kind="stable")
        sorted_N = losses_NM[order, objective]
        gaps_N = np.full(points, np.inf)
        gaps_N[1:-1] = sorted_N[2:] - sorted_N[:-2]
        distance_N[order] += gaps_N / max(sorted_N[-1] - sorted_N[0], np.finfo(float).tiny)
    return distance_N


def _child(parent: Candidate, problem: Problem, known: set[Candidate], random: Random) -> Candidate:
    child = parent
    for _ in range(_STEPS):
        child = _changed(child, problem, random)
        if child not in known:
            break
    return child


def _changed(parent: Candidate, problem: Problem, random: Random) -> Candidate:
    """One step in the tree, or in one of the choices; the parent where it leads over the budget."""
    names = [name for name, _ in parent.choices]
    chosen = random.randrange(1 + len(names))
    if chosen and problem.tuned:
        choices = problem.tuned.redrawn(parent.choices, names[chosen - 1], random)
        return Candidate(parent.tree, choices) if problem.allows(parent.tree, choices) else parent
    allowed = problem.allowed_with(parent.choices) if parent.choices else problem.allowed
    tree = random_neighbour(parent.tree, allowed, random)
    return parent if tree is None else Candidate(tree, parent.choices)
