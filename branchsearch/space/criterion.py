"""How well a tree agrees with an affinity.

Source: S. Vandenhende et al., "Branched Multi-Task Networks: Deciding What Layers To Share",
BMVC 2020, section 3.2: a branch costs the largest dissimilarity among its tasks, a stage the mean
over its branches, a tree the sum over its stages. Sharing nothing costs 0, so the criterion means
something only among trees under one budget. In the additive form a stage is the sum over its
branches, and the solver can weigh it against any cost.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from statistics import fmean

import numpy as np

from branchsearch.space import lattice, program
from branchsearch.space.beam import beam
from branchsearch.space.best_first import best_first, place
from branchsearch.space.solver import pareto_front
from branchsearch.space.space import Space
from branchsearch.space.stagewise import StageScore, additive
from branchsearch.space.tables import BranchNumbers
from branchsearch.tree import Tree

#: Spaces up to this size are ranked tree by tree.
_LISTED = 100_000


def dissimilarity(
    tree: Tree, affinity: np.ndarray, weights: Sequence[float] | None = None
) -> float:
    """The paper's cost of a tree: 0 where nothing is shared, higher where unlike tasks share.

    Args:
        tree: Over T tasks and S stages.
        affinity: Shape [S, T, T], in [-1, 1]; tasks in the tree's order. Where it is not symmetric,
            two tasks are as unlike as the mean of both ways says.
        weights: Shape [S], of the stages; 1 by default.

    Raises:
        ValueError: The shapes do not fit, or two tasks have no affinity.
    """
    tasks = len(tree.tasks)
    if affinity.shape != (len(tree.branches), tasks, tasks):
        raise ValueError(f"an affinity of shape {affinity.shape} does not fit {tree}")
    return mean_of_worst(tree.tasks, affinity, weights).of(tree)


def mean_of_worst(
    tasks: Sequence[str], affinity: np.ndarray, weights: Sequence[float] | None = None
) -> StageScore:
    """The paper's criterion, as a score of stages.

    Raises:
        ValueError: There are not as many weights as stages, one is no finite number, or two tasks
            have no affinity.
    """
    each = [1.0] * len(affinity) if weights is None else weights
    if len(each) != len(affinity) or not np.isfinite(each).all():
        raise ValueError(f"{len(affinity)} finite weights are needed, one a stage, not {each}")
    return StageScore(
        worst_pair(tasks, affinity), lambda stage, numbers: each[stage] * fmean(numbers)
    )


def worst_pair(tasks: Sequence[str], affinity: np.ndarray) -> BranchNumbers:
    """The largest dissimilarity, 1 - affinity, in a branch; 0 for one task.

    Raises:
        ValueError: Two tasks have no affinity.
    """
    unlike = 1 - _both_ways(tasks, affinity)
    places = {task: place for place, task in enumerate(tasks)}
    unlike[:, range(len(tasks)), range(len(tasks))] = -np.inf  # no task is a pair

    @cache  # many trees have the same branches
    def worst(stage: int, branch: frozenset[str]) -> float:
        if len(branch) < 2:
            return 0.0
        rows = np.array([places[task] for task in branch])
        return float(unlike[stage, rows[:, None], rows].max())

    return worst


def sum_of_worst(tasks: Sequence[str], affinity: np.ndarray) -> StageScore:
    """The additive form: a stage is the sum over its branches, so that the solver takes it."""
    return additive(worst_pair(tasks, affinity))


def sum_of_gains(tasks: Sequence[str], affinity: np.ndarray) -> StageScore:
    """What the tasks of a branch gain from each other, over all pairs, with the sign changed.

    With what two-task trainings give as affinity, that is the two-task estimate of a tree, up to a
    factor and a constant, see ``branchsearch.affinity.two_task``.

    Raises:
        ValueError: Two tasks have no affinity.
    """
    both = _both_ways(tasks, affinity)
    places = {task: place for place, task in enumerate(tasks)}

    @cache
    def lost(stage: int, branch: frozenset[str]) -> float:
        pairs = combinations(sorted(places[task] for task in branch), 2)
        return -sum(float(both[stage, i, j]) for i, j in pairs)

    return additive(lost)


def _both_ways(tasks: Sequence[str], affinity: np.ndarray) -> np.ndarray:
    """The mean of what two tasks are to each other; of a task with itself nothing is asked."""
    both: np.ndarray = (affinity + affinity.transpose(0, 2, 1)) / 2
    unknown = ~np.isfinite(both) & ~np.eye(len(tasks), dtype=bool)
    if unknown.any():
        stage, i, j = np.argwhere(unknown)[0]
        raise ValueError(
            f"the affinity of {tasks[i]} and {tasks[j]} at stage {stage} is {both[stage, i, j]}, "
            "and trees can only be compared by finite numbers"
        )
    return both


#: The forms of the criterion, by name.
FORMS: Mapping[str, Callable[[Sequence[str], np.ndarray], StageScore]] = {
    "mean": mean_of_worst,
    "sum": sum_of_worst,
    "gain": sum_of_gains,
}


def ranked(trees: Iterable[Tree], score: StageScore) -> list[Tree]:
    """Trees by rising score; among equals, those that share more come first."""
    return sorted(trees, key=lambda tree: place(tree, score))


def ranking(space: Space, affinity: np.ndarray, *, form: str = "mean") -> list[Tree]:
    """The trees of a space by rising dissimilarity, as many as can be found at once.

    All of them in spaces of up to 100,000 trees. Beyond, in the form of a mean, the best of every
    sequence of widths, exact up to ``MOST_TASKS`` tasks of ``branchsearch.space.lattice``; in the
    forms that add up the best for each cost, exact up to ``MOST_TASKS`` of
    ``branchsearch.space.program``; with more tasks what a beam search finds for each cost.

    Raises:
        ValueError: The form is not one of ``FORMS``, the affinity does not fit the space, or two
            tasks have no affinity.
    """
    score = _score(space, affinity, form)
    if _is_listed(space):
        return ranked(space, score)
    prices = space.limits.bounds[0].prices if space.limits.bounds else (1,) * space.stages
    if form == "mean" and len(space.tasks) <= lattice.MOST_TASKS:
        found = lattice.best_per_widths(score, prices, space)
    elif form != "mean" and len(space.tasks) <= program.MOST_TASKS:
        found = pareto_front(score.branch, lambda stage, _: prices[stage], space)
    else:
        found = beam(score, lambda stage, _: prices[stage], space)
    return ranked((point.tree for point in found), score)


def in_order(space: Space, affinity: np.ndarray, *, form: str = "mean") -> Iterator[Tree]:
    """The same lazily and without an end before the space's: what ``ranking`` finds, and then on.

    Spaces of more than 100,000 trees are not listed: from the trees of ``ranking`` it goes on to
    their neighbours, best first, see ``branchsearch.space.best_first``. The first tree is the best
    of all wherever ``ranking`` is exact.
    """
    start = ranking(space, affinity, form=form)
    if _is_listed(space) or not start:
        yield from start
    else:
        yield from best_first(start, _score(space, affinity, form), space)


def _score(space: Space, affinity: np.ndarray, form: str) -> StageScore:
    if form not in FORMS:
        raise ValueError(f"the criterion is one of {', '.join(FORMS)}, not {form!r}")
    tasks = len(space.tasks)
    if affinity.shape != (space.stages, tasks, tasks):
        raise ValueError(
            f"an affinity of shape {affinity.shape} does not fit {tasks} tasks "
            f"over {space.stages} stages"
        )
    return FORMS[form](space.tasks, affinity)


def _is_listed(space: Space) -> bool:
    return space.countable and space.count() <= _LISTED
