"""The trials of a search: asked of an Optuna study, trained by the engine, told to the study.

The study is the memory. Whatever kills the process, what is left to do follows from the study
alone: see ``StudyTrials``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from statistics import fmean
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from branchsearch.search.candidate import (
    Candidate,
    candidate_of_trial,
    own,
    params_of_candidate,
    ranges,
)
from branchsearch.search.early_stopping import Rule
from branchsearch.search.failure import DIED
from branchsearch.search.outcome import OUTCOME, Outcome, outcome_of
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.fresh import FreshSampler, SpaceExhausted
from branchsearch.search.source import Work
from branchsearch.search.tried import known_candidates
from branchsearch.space.cost import COSTS
from branchsearch.tree import Tree


class End(StrEnum):
    """Why a search is over."""

    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"  # as many trials as asked for, or all that they may cost
    DEADLINE = "DEADLINE"  # it took as long as it may
    SPACE_EXHAUSTED = "SPACE_EXHAUSTED"  # every allowed tree has one
    TOO_MANY_FAILURES = "TOO_MANY_FAILURES"  # so many in a row that more would be waste


#: What an objective may be, and the way it improves.
OBJECTIVES = {"delta": StudyDirection.MAXIMIZE, **dict.fromkeys(COSTS, StudyDirection.MINIMIZE)}


class StudyTrials:
    """A source of trainings that are an Optuna study's trials.

    A trial carries as user attributes: ``outcome``, ``tree``, ``parameters``, ``multiply_adds``,
    ``delta`` (percent), ``task/<name>`` (each task's metric), ``gain/<name>`` (each task's gain,
    percent), ``seconds``, ``curve`` (delta after each epoch), ``curves`` (each task's gain after
    each epoch) and, where something went wrong, ``reason``.

    On birth it puts the study in order: a trial that a killed process left RUNNING is told FAIL
    and its tree enqueued again; trees asked for by hand are enqueued unless they have a trial.

    Args:
        study: The memory; its objectives are among ``OBJECTIVES``, in the order of ``objectives``.
        problem: What is searched.
        objectives: What the study's values are; ``delta`` is one of them.
        sampler: Makes the sampler of a seed; called anew for every proposal.
        rule: Which trials to stop early.
        training: From a tree, with what is tuned beside it, to what the training function is
            called with.
        gains: From the tasks' metrics to their gains, percent; delta is the mean of these.
        first: Trees to try before the sampler is asked, with the job's own choices.
        trials: How many trials to train.
        failures: After so many failed trials in a row the search ends; those of an earlier start
            do not count, else what ended by them could never go on.
        used_up: Why no other trial may begin, if so; asked again and again. Trials that train
            are trained to their end.
        seed: Of every random draw, together with the number of trials so far.
        changed: Called whenever the study has changed.
        told: Called with every trial that has ended.
    """

    def __init__(
        self,
        study: Study,
        problem: Problem,
        *,
        objectives: Sequence[str],
        sampler: Callable[[int], BaseSampler],
        rule: Rule,
        training: Callable[[Candidate], Any],
        gains: Callable[[Mapping[str, float]], Mapping[str, float]],
        first: Sequence[Tree],
        trials: int,
        failures: int,
        seed: int,
        used_up: Callable[[], End | None] = lambda: None,
        changed: Callable[[], None] = lambda: None,
        told: Callable[[FrozenTrial], None] = lambda _: None,
    ) -> None:
        self._study, self._problem = study, problem
        self._objectives = objectives
        self._sampler, self._rule = sampler, rule
        self._training, self._gains = training, gains
        self._trials, self._failures, self._seed = trials, failures, seed
        self._used_up, self._changed, self._told = used_up, changed, told
        self._live: dict[str, Trial] = {}
        self._curves: dict[str, list[float]] = {}
        self._by_task: dict[str, dict[str, list[float]]] = {}
        self._exhausted = False
        self._ended_before = {
            trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()
        }
        self._reconcile()
        self._enqueue(first)

    @property
    def end(self) -> End | None:
        """Why the search is over; None while it is not."""
        if self._live:
            return None
        if self._counted() >= self._trials:
            return End.BUDGET_EXHAUSTED
        if self._too_many_failures():
            return End.TOO_MANY_FAILURES
        return End.SPACE_EXHAUSTED if self._exhausted else self._used_up()

    @property
    def finished(self) -> bool:
        """Whether the search is over."""
        return self.end is not None

    def next(self) -> Work | None:
        """Ask for a tree that is to be trained."""
        enough = self._counted() + len(self._live) >= self._trials
        if enough or self._exhausted or self._too_many_failures() or self._used_up():
            return None
        while (asked := self._ask()) is not None:
            trial, candidate = asked
            if candidate is None:
                trial.set_user_attr("reason", "its parameters name no tree of the space")
                self._set_aside(trial, Outcome.FAILED)
            elif not self._problem.allows(candidate.tree, candidate.choices):
                self._set_aside(trial, Outcome.OVER_BUDGET)
            elif candidate in known_candidates(self._study, self._problem, but=trial.number):
                self._set_aside(trial, Outcome.REPEAT)
            else:
                key = str(trial.number)
                self._live[key], self._curves[key], self._by_task[key] = trial, [], {}
                self._changed()
                return Work(key, self._training(candidate))
        return None

    def report(self, key: str, report: Mapping[str, Any]) -> bool:
        """Record an epoch, or the end: a report with ``last`` set is a training's last one."""
        trial = self._live.get(key)
        if trial is None:
            return False
        if "failed" in report:
            failure = report.get("outcome", Outcome.FAILED)
            self._tell(key, Outcome.of_failure(failure), reason=report["failed"])
            return False
        curve = self._curves[key]
        epoch, gains = report["epoch"], self._gains(report["metrics"])
        delta = fmean(gains.values())
        if not math.isfinite(delta):
            reason = f"after epoch {epoch} a metric is {delta}"
            self._tell(key, Outcome.NOT_FINITE, reason=reason)
            return False
        if epoch <= len(curve):
            return True  # a training that runs again, after its process was killed
        curve.append(delta)
        for task, gain in gains.items():
            self._by_task[key].setdefault(task, []).append(gain)
        if len(self._objectives) == 1:
            trial.report(delta, epoch)  # for the dashboard; Optuna refuses it for several
        if report["last"]:
            self._tell(key, Outcome.COMPLETE, report=report)
        elif self._rule(curve, self._other_curves(but=trial.number)):
            self._tell(key, Outcome.STOPPED, report=report)
        else:
            self._changed()
            return True
        return False

    def close(self, key: str) -> None:
        """A trial whose process died more often than it may."""
        if key in self._live:
            self._tell(key, Outcome.FAILED, reason=DIED)

    def _reconcile(self) -> None:
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            candidate = candidate_of_trial(self._problem, trial)
            if candidate is not None:
                # enqueued before it is failed: killed in between, the tree is enqueued twice, and
                # the second time it is a repeat; the other way round it would be forgotten
                again = {"retry_of": trial.number}
                params = params_of_candidate(self._problem, candidate)
                self._study.enqueue_trial(params, user_attrs=again)
            self._mark(trial._trial_id, Outcome.LOST)
            self._told(self._study.tell(trial.number, state=TrialState.FAIL))

    def _enqueue(self, trees: Sequence[Tree]) -> None:
        for candidate in dict.fromkeys(own(self._problem, tree) for tree in trees):
            if candidate not in known_candidates(self._study, self._problem):
                self._study.enqueue_trial(params_of_candidate(self._problem, candidate))

    def _ask(self) -> tuple[Trial, Candidate | None] | None:
        asked = len(self._study.get_trials(deepcopy=False))
        seeds = np.random.SeedSequence([self._seed, asked]).generate_state(2).tolist()
        self._study.sampler = FreshSampler(self._sampler(seeds[0]), self._problem, seed=seeds[1])
        try:
            trial = self._study.ask(ranges(self._problem))
            _ = trial.relative_params  # Optuna asks no sampler where all have but one value
        except SpaceExhausted:
            self._drop_what_was_not_asked()
            self._exhausted = True
            return None
        candidate = candidate_of_trial(self._problem, self._frozen(trial))
        if candidate is None:
            return trial, None  # somebody else has enqueued what the space does not have
        cost = self._problem.cost(candidate.tree, candidate.choices)
        trial.set_user_attr("tree", str(candidate.tree))
        trial.set_user_attr("parameters", cost.parameters)
        trial.set_user_attr("multiply_adds", cost.multiply_adds)
        for name, most in self._problem.budget.items():
            trial.set_constraint(name, float(getattr(cost, name) - most))
        return trial, candidate

    def _drop_what_was_not_asked(self) -> None:
        # Optuna stores a trial before its sampler is asked
        live = {trial.number for trial in self._live.values()}
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.number not in live:
                self._mark(trial._trial_id, Outcome.REPEAT)
                self._study.tell(trial.number, state=TrialState.FAIL)

    def _set_aside(self, trial: Trial, outcome: Outcome) -> None:
        trial.set_user_attr(OUTCOME, outcome)
        over_budget = outcome is Outcome.OVER_BUDGET
        state = TrialState.PRUNED if over_budget else TrialState.FAIL
        self._told(self._study.tell(trial.number, state=state))
        self._changed()

    def _tell(
        self,
        key: str,
        outcome: Outcome,
        *,
        report: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> None:
        trial, curve = self._live.pop(key), self._curves.pop(key)
        if reason is not None:
            trial.set_user_attr("reason", reason)
        trial.set_user_attr("curve", curve)
        trial.set_user_attr("curves", self._by_task.pop(key))
        if report is not None:
            trial.set_user_attr("delta", curve[-1])
            trial.set_user_attr("seconds", report["seconds"])
            for task, metric in report["metrics"].items():
                trial.set_user_attr(f"task/{task}", metric)
            for task, gain in self._gains(report["metrics"]).items():
                trial.set_user_attr(f"gain/{task}", gain)
        trial.set_user_attr(OUTCOME, outcome)
        if outcome is Outcome.COMPLETE:
            attributes = self._frozen(trial).user_attrs
            told = self._study.tell(trial.number, [attributes[name] for name in self._objectives])
        else:
            stopped = outcome is Outcome.STOPPED
            state = TrialState.PRUNED if stopped else TrialState.FAIL
            told = self._study.tell(trial.number, state=state)
        self._told(told)
        self._changed()

    def _counted(self) -> int:
        return sum(outcome_of(t).counts for t in self._study.get_trials(deepcopy=False))

    def _too_many_failures(self) -> bool:
        """Whether this start has seen so many in a row, not counting what was set aside."""
        trials = self._study.get_trials(deepcopy=False)
        now = [outcome_of(trial) for trial in trials if trial.number not in self._ended_before]
        ended = [outcome for outcome in now if outcome.counts or outcome.failed]
        return len(ended) >= self._failures and not any(o.counts for o in ended[-self._failures :])

    def _other_curves(self, *, but: int) -> list[Sequence[float]]:
        told = [
            trial.user_attrs.get("curve", [])  # somebody else's trial has none
            for trial in self._study.get_trials(deepcopy=False)
            if trial.number != but and trial.state.is_finished() and outcome_of(trial).counts
        ]
        return told + [self._curves[key] for key in self._live if key != str(but)]

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self._study._storage.get_trial(trial._trial_id)

    def _mark(self, trial_id: int, outcome: Outcome) -> None:
        self._study._storage.set_trial_user_attr(trial_id, OUTCOME, outcome)
