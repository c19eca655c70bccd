"""What a study's trials tell the Gaussian processes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from branchsearch.search.candidate import Candidate
from branchsearch.search.outcome import Outcome, outcome_of
from branchsearch.search.problem import Problem
from branchsearch.search.tried import finished_candidates, known_candidates


class Told(NamedTuple):
    """Trainings that came to an end, and then those stopped, each in the order of their numbers.

    Attributes:
        candidates: N of them.
        gains_NT: Each task's gain, as of the training's end: what was stopped early is raised by
            what others gained from that epoch on.
        blur_NT: Variance of that raise; 0 for what came to its end.
        objectives_NJ: The study's values; not a number for what was stopped.
    """

    candidates: list[Candidate]
    gains_NT: np.ndarray
    blur_NT: np.ndarray
    objectives_NJ: np.ndarray

    def first(self, count: int) -> "Told":
        """The first so many."""
        return Told(
            self.candidates[:count],
            self.gains_NT[:count],
            self.blur_NT[:count],
            self.objectives_NJ[:count],
        )


def told(study: Study, problem: Problem, delta: int) -> Told:
    """Read a study.

    Args:
        study: Its trials carry ``gain/<task>`` and ``curves`` as ``StudyTrials`` writes them; one
            that somebody else has told counts with its value for every task.
        problem: Says what the parameters name.
        delta: Which of the study's values is the gain.
    """
    tried = finished_candidates(study, problem)
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.number in tried]
    tasks = problem.space.tasks
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    stopped = [trial for trial in trials if outcome_of(trial) is Outcome.STOPPED]
    later = _Later([_curves(trial, tasks) for trial in complete])
    rows = [
        (tried[trial.number], _gains(trial, tasks, delta), np.zeros(len(tasks)), trial.values)
        for trial in complete
    ]
    for trial in stopped:
        curves = _curves(trial, tasks)
        raised = None if curves is None else later.of(curves.shape[1])
        if curves is not None and raised is not None:
            rise_T, blur_T = raised
            nothing = [np.nan] * len(study.directions)
            rows.append((tried[trial.number], curves[:, -1] + rise_T, blur_T, nothing))
    shape = (-1, len(tasks))
    return Told(
        [candidate for candidate, *_ in rows],
        np.array([gains for _, gains, _, _ in rows]).reshape(shape),
        np.array([blur for _, _, blur, _ in rows]).reshape(shape),
        np.array([values for *_, values in rows], float).reshape(-1, len(study.directions)),
    )


def pending(study: Study, problem: Problem, known: Sequence[Candidate], but: int) -> set[Candidate]:
    """What others train at the moment, or will."""
    return known_candidates(study, problem, but=but) - set(known)


class _Later:
    """How much trainings gained from an epoch on, by those that came to their end.

    Args:
        curves: Each of shape [T, E]; None for a training without.
    """

    def __init__(self, curves: Sequence[np.ndarray | None]) -> None:
        whole = [curve for curve in curves if curve is not None]
        longest = max((curve.shape[1] for curve in whole), default=0)
        self._curves = [curve for curve in whole if curve.shape[1] == longest]
        self._known: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def of(self, epoch: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and variance for each task; None with fewer than two to go by."""
        if len(self._curves) < 2 or epoch > self._curves[0].shape[1]:
            return None
        if epoch not in self._known:
            rises = np.array([curve[:, -1] - curve[:, epoch - 1] for curve in self._curves])
            self._known[epoch] = rises.mean(0), rises.var(0, ddof=1)
        return self._known[epoch]


def _gains(trial: FrozenTrial, tasks: Sequence[str], delta: int) -> np.ndarray:
    attributes = trial.user_attrs
    return np.array([attributes.get(f"gain/{task}", trial.values[delta]) for task in tasks])


def _curves(trial: FrozenTrial, tasks: Sequence[str]) -> np.ndarray | None:
    """Shape [T, E]."""
    curves: Mapping[str, Sequence[float]] = trial.user_attrs.get("curves", {})
    if not all(curves.get(task) for task in tasks):
        return None
    return np.array([curves[task] for task in tasks])
