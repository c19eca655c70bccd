"""Searches driven by hand: everything but Ray. The study is the memory, whatever is killed."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from branchsearch.search.early_stopping import Rule, halving, never
from branchsearch.search.failure import Failure
from branchsearch.search.outcome import Outcome, outcome_of
from branchsearch.search.parameters import distributions, params_of, tree_of_trial
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.stock import nsga2, tpe
from branchsearch.search.source import Work
from branchsearch.search.trials import OBJECTIVES, End, StudyTrials
from branchsearch.search.tried import known_trees
from branchsearch.space.cost import Cost, CostTable
from branchsearch.space.extremes import extremes
from branchsearch.space.space import Space
from branchsearch.tree import Tree

SPACE = Space.of("abc", 2)
ALL, NONE = extremes(SPACE)
EPOCHS = 3

#: What the engine reports of a training that raised an exception.
FAILED = {"failed": "ValueError: of itself"}


class Killed(BaseException):
    """Stands for a signal: nothing in the product catches it."""


@pytest.fixture
def study() -> Study:
    return new_study()


@pytest.fixture(params=["memory", "sqlite"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Study]:
    """A study in either memory; for tests in which the difference might matter."""
    if request.param == "memory":
        yield new_study()
        return
    storage = RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    yield new_study(storage)
    storage.engine.dispose()


def new_study(
    storage: InMemoryStorage | RDBStorage | None = None, objectives: tuple[str, ...] = ("delta",)
) -> Study:
    return optuna.create_study(storage=storage, directions=[OBJECTIVES[o] for o in objectives])


def problem_of(space: Space = SPACE, **budget: int) -> Problem:
    """Each copy of a stage, and each head, has 10 parameters."""
    part = Cost(10, 100)
    costs = CostTable((part,) * space.stages, dict.fromkeys(space.tasks, part))
    tasks = len(space.tasks)
    return Problem(space, costs, budget, np.zeros((space.stages, tasks, tasks)))


def source(
    study: Study,
    problem: Problem | None = None,
    *,
    objectives: tuple[str, ...] = ("delta",),
    sampler: Callable[[int], BaseSampler] = lambda seed: RandomSampler(seed=seed),
    rule: Rule = never,
    training: Callable[[Tree], Any] = lambda tree: tree,
    first: tuple[Tree, ...] = (ALL, NONE),
    trials: int = 6,
    failures: int = 3,
    used_up: Callable[[], End | None] = lambda: None,
    told: Callable[[FrozenTrial], None] = lambda _: None,
) -> StudyTrials:
    return StudyTrials(
        study,
        problem or problem_of(),
        objectives=objectives,
        sampler=sampler,
        rule=rule,
        training=lambda candidate: training(candidate.tree),
        gains=lambda metrics: {task: 2 * metric for task, metric in metrics.items()},
        first=first,
        trials=trials,
        failures=failures,
        seed=3,
        used_up=used_up,
        told=told,
    )


def epoch(number: int, metric: float = 1.0, *, last: bool | None = None) -> dict[str, Any]:
    return {
        "epoch": number,
        "metrics": {"a": metric, "b": 0.5},
        "seconds": float(number),
        "last": number == EPOCHS if last is None else last,
    }


def train(trials: StudyTrials, work: Work, metric: float = 1.0) -> None:
    """What the engine does with a training that goes well, or is stopped."""
    for number in range(1, EPOCHS + 1):
        if not trials.report(work.key, epoch(number, metric)):
            break
    trials.close(work.key)


def handed_out(trials: StudyTrials) -> Work:
    work = trials.next()
    assert work is not None
    return work


def drive(trials: StudyTrials, metric: Callable[[Tree], float] = lambda _: 1.0) -> list[Tree]:
    """Train one after the other until the source is finished; the trees in that order."""
    trees = []
    while not trials.finished:
        work = trials.next()
        if work is not None:
            trees.append(work.training)
            train(trials, work, metric(work.training))
    return trees


def outcomes(study: Study) -> Counter[Outcome]:
    return Counter(outcome_of(trial) for trial in study.trials)


def only(study: Study, outcome: Outcome) -> FrozenTrial:
    (trial,) = (trial for trial in study.trials if outcome_of(trial) is outcome)
    return trial


def test_trees_asked_for_come_first_and_the_number_of_trials_is_met(stored: Study):
    trials = source(stored, trials=5)
    trees = drive(trials)
    assert trees[:2] == [ALL, NONE]
    assert len(set(trees)) == len(trees) == 5
    assert trials.end is End.BUDGET_EXHAUSTED
    assert trials.next() is None
    assert outcomes(stored) == {Outcome.COMPLETE: 5}


@pytest.mark.parametrize("workers", [2, 3, 9])
def test_no_more_run_at_once_than_are_still_wanted(study: Study, workers: int):
    trials = source(study, trials=4)
    trained = 0
    while not trials.finished:
        works = [work for _ in range(workers) if (work := trials.next()) is not None]
        for work in works:
            train(trials, work)
        trained += len(works)
    assert trained == 4
    assert outcomes(study) == {Outcome.COMPLETE: 4}


def test_a_trial_says_what_it_was_and_what_came_out(stored: Study):
    drive(source(stored, problem_of(parameters=60), trials=1), metric=lambda _: 2.0)
    trial = only(stored, Outcome.COMPLETE)
    assert trial.values == [2.5]
    assert trial.user_attrs == {
        "tree": str(ALL),
        "parameters": 50,
        "multiply_adds": 500,
        "curve": [2.5] * EPOCHS,
        "delta": 2.5,
        "seconds": float(EPOCHS),
        "task/a": 2.0,
        "task/b": 0.5,
        "gain/a": 4.0,
        "gain/b": 1.0,
        "curves": {"a": [4.0] * EPOCHS, "b": [1.0] * EPOCHS},
        "outcome": "complete",
    }
    assert trial.constraints == {"parameters": -10.0}
    assert trial.intermediate_values == dict.fromkeys(range(1, EPOCHS + 1), 2.5)


def test_trees_over_the_budget_are_never_handed_out(study: Study):
    problem = problem_of(parameters=70)
    trials = source(study, problem, trials=4)
    trees = drive(trials)
    assert all(problem.allows(tree) for tree in trees)
    assert len(trees) == 4
    trial = only(study, Outcome.OVER_BUDGET)
    assert tree_of_trial(SPACE, trial) == NONE
    assert trial.state is TrialState.PRUNED
    assert trial.constraints == {"parameters": 20.0}
    drive(source(study, problem, trials=4))
    assert outcomes(study)[Outcome.OVER_BUDGET] == 1


def test_a_tree_enqueued_again_is_a_repeat(stored: Study):
    drive(source(stored, trials=2))
    stored.enqueue_trial(params_of(SPACE, NONE))
    trees = drive(source(stored, trials=3))
    assert NONE not in trees
    assert only(stored, Outcome.REPEAT).state is TrialState.FAIL
    assert outcomes(stored) == {Outcome.COMPLETE: 3, Outcome.REPEAT: 1}


@pytest.mark.parametrize(
    "space",
    [
        Space.of("ab", 2),
        Space.of("abc", 1),
        Space(("a", "b"), (False, False)),
        Space.of("a", 3),
    ],
)
@pytest.mark.parametrize("workers", [1, 3])
def test_a_space_is_exhausted_once_every_tree_has_a_trial(study: Study, space: Space, workers: int):
    trials = source(study, problem_of(space), first=extremes(space), trials=100)
    trained: list[Tree] = []
    while not trials.finished:
        works = [work for _ in range(workers) if (work := trials.next()) is not None]
        for work in works:
            train(trials, work)
        trained += [work.training for work in works]
    assert sorted(map(str, trained)) == sorted(map(str, space))
    assert trials.end is End.SPACE_EXHAUSTED
    assert outcomes(study)[Outcome.RUNNING] == 0


def test_asking_an_exhausted_space_again_does_not_fill_the_study(study: Study):
    space = Space.of("ab", 1)
    trials = source(study, problem_of(space), first=extremes(space), trials=100)
    works = [handed_out(trials), handed_out(trials)]
    assert [trials.next() for _ in range(20)] == [None] * 20
    assert trials.end is None
    assert len(study.trials) <= 3
    for work in works:
        train(trials, work)
    assert trials.end is End.SPACE_EXHAUSTED


def test_a_budget_that_no_tree_meets_exhausts_the_space(study: Study):
    trials = source(study, problem_of(parameters=1))
    assert drive(trials) == []
    assert trials.end is End.SPACE_EXHAUSTED


@pytest.mark.parametrize("metric", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_no_number_fails_its_trial_alone(study: Study, metric: float):
    trials = source(study, trials=4)
    trees = drive(trials, metric=lambda tree: metric if tree == NONE else 1.0)
    assert len(trees) == 5
    assert trials.end is End.BUDGET_EXHAUSTED
    failed = only(study, Outcome.NOT_FINITE)
    assert failed.state is TrialState.FAIL
    assert f"after epoch 1 a metric is {metric}" in failed.user_attrs["reason"]


def test_an_exception_fails_its_trial_with_its_reason(study: Study):
    trials = source(study)
    work = handed_out(trials)
    assert trials.report(work.key, epoch(1))
    assert not trials.report(work.key, FAILED)
    failed = only(study, Outcome.FAILED)
    assert failed.user_attrs["reason"] == FAILED["failed"]
    assert failed.user_attrs["curve"] == [1.5]
    assert ALL not in drive(trials)


def test_a_process_that_died_too_often_fails_its_trial(study: Study):
    trials = source(study)
    trials.close(handed_out(trials).key)
    assert "died" in only(study, Outcome.FAILED).user_attrs["reason"]


def test_when_the_budget_is_used_up_nothing_begins_and_what_trains_is_finished(study: Study):
    met: list[End] = []
    trials = source(study, used_up=lambda: met[0] if met else None)
    first = handed_out(trials)
    met.append(End.DEADLINE)
    assert trials.next() is None
    assert trials.end is None
    train(trials, first)
    assert trials.end is End.DEADLINE
    assert outcomes(study)[Outcome.COMPLETE] == 1
    met.clear()  # raised
    assert len(drive(trials)) == 5
    assert trials.end is End.BUDGET_EXHAUSTED


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_has_its_outcome_and_counts_as_one(study: Study, failure: Failure):
    trials = source(study, failures=2)
    for _ in range(2):
        work = handed_out(trials)
        assert not trials.report(work.key, {"failed": "so it was", "outcome": failure})
        trials.close(work.key)
    assert trials.end is End.TOO_MANY_FAILURES
    expected = Outcome.FAILED if failure is Failure.KILLED else Outcome(failure)
    assert outcomes(study) == {expected: 2}
    assert {trial.user_attrs["reason"] for trial in study.trials} == {"so it was"}


def test_every_trial_is_told_once_as_it_ended(study: Study):
    told: list[FrozenTrial] = []
    problem = problem_of(parameters=70)
    handed_out(source(study, problem))  # and its driver is killed
    trials = source(study, problem, trials=4, told=told.append)
    drive(trials, metric=lambda tree: math.nan if tree == ALL else 1.0)
    assert [trial.number for trial in told] == list(range(len(study.trials)))
    assert [outcome_of(trial) for trial in told] == [outcome_of(t) for t in study.trials]
    assert Outcome.LOST in map(outcome_of, told)


def test_too_many_failures_in_a_row_end_the_search(study: Study):
    trials = source(study, trials=9, failures=3)
    good = iter([True, False, False, True, False, False, False, True])
    trees = drive(trials, metric=lambda _: 1.0 if next(good) else math.nan)
    assert len(trees) == 7
    assert trials.end is End.TOO_MANY_FAILURES
    assert trials.next() is None
    again = source(study, trials=6, failures=3)  # what was wrong may be mended
    assert again.end is None
    assert len(drive(again, metric=lambda _: 1.0)) == 4
    assert again.end is End.BUDGET_EXHAUSTED


def test_failures_of_trees_that_waited_before_count_as_well():
    study, first = new_study(), tuple(SPACE)[:10]
    for _ in range(2):
        trials = source(study, trials=12, failures=3, first=first)
        assert len(drive(trials, metric=lambda _: math.nan)) == 3
        assert trials.end is End.TOO_MANY_FAILURES


def test_a_trial_stopped_early_counts_but_is_never_best(stored: Study):
    trials = source(stored, trials=4, rule=halving(first=1, factor=2))
    drive(trials, metric=lambda tree: 5.0 if tree == ALL else 1.0)
    counts = outcomes(stored)
    assert counts == {Outcome.COMPLETE: 1, Outcome.STOPPED: 3}
    stopped = [trial for trial in stored.trials if outcome_of(trial) is Outcome.STOPPED]
    assert all(trial.state is TrialState.PRUNED for trial in stopped)
    assert all(trial.user_attrs["delta"] == trial.user_attrs["curve"][-1] for trial in stopped)
    assert [tree_of_trial(SPACE, trial) for trial in stored.best_trials] == [ALL]


def test_reports_of_a_training_that_runs_again_are_passed_over(study: Study):
    trials = source(study)
    work = handed_out(trials)
    for number in (1, 2, 1, 2, 3):
        assert trials.report(work.key, epoch(number, float(number))) is (number < EPOCHS)
    assert only(study, Outcome.COMPLETE).user_attrs["curve"] == [1.5, 2.5, 3.5]


def test_reports_after_the_end_change_nothing(study: Study):
    trials = source(study, trials=1)
    work = handed_out(trials)
    train(trials, work)
    before = study.trials
    assert not trials.report(work.key, epoch(1))
    trials.close(work.key)
    assert study.trials == before


def test_a_strangers_trials_break_nothing(stored: Study):
    stored.add_trial(optuna.create_trial(value=1.0, params={}, distributions={}))
    stored.add_trial(
        optuna.create_trial(
            value=1.0, params=params_of(SPACE, ALL), distributions=dict(distributions(SPACE))
        )
    )
    stored.add_trial(optuna.create_trial(state=TrialState.PRUNED))
    stored.add_trial(optuna.create_trial(state=TrialState.FAIL))
    stored.ask()
    stored.enqueue_trial({"learning_rate": 0.1})
    stored.enqueue_trial({"mate_c": 0})
    trials = source(stored, trials=7, rule=halving(first=1, factor=2), sampler=tpe(problem_of()))
    trees = drive(trials)
    assert ALL not in trees
    assert len(trees) == 4
    assert trials.end is End.BUDGET_EXHAUSTED
    assert outcomes(stored)[Outcome.RUNNING] == 0


@pytest.mark.filterwarnings("ignore:Fixed parameter:UserWarning")
def test_parameters_that_name_no_tree_fail_their_trial_alone(study: Study):
    study.enqueue_trial(params_of(SPACE, ALL) | {"depth_b": 7})
    trees = drive(source(study, trials=3))
    assert trees[:2] == [ALL, NONE]
    assert len(trees) == 3
    assert "no tree" in only(study, Outcome.FAILED).user_attrs["reason"]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    "sampler", [tpe(problem_of()), nsga2(problem_of(), population_size=3)], ids=["tpe", "nsga2"]
)
def test_two_objectives(sampler: Callable[[int], BaseSampler]):
    objectives = ("delta", "parameters")
    study, problem = new_study(objectives=objectives), problem_of(parameters=80)
    trials = source(
        study,
        problem,
        objectives=objectives,
        sampler=sampler,
        rule=halving(first=1, factor=2),
        trials=10,
    )
    drive(trials, metric=lambda tree: float(sum(tree.widths)))
    assert trials.end is End.BUDGET_EXHAUSTED
    complete = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    assert complete
    for trial in complete:
        attributes = trial.user_attrs
        assert trial.values == [attributes["delta"], attributes["parameters"]]
    assert study.best_trials


@pytest.mark.parametrize(
    "sampler", [tpe(problem_of(), n_startup_trials=2), nsga2(problem_of())], ids=["tpe", "nsga2"]
)
def test_a_rebuilt_source_proposes_what_the_killed_one_would_have(
    stored: Study, sampler: Callable[[int], BaseSampler]
):
    def metric(tree: Tree) -> float:
        return float(sum(tree.widths))

    whole = drive(source(new_study(), sampler=sampler, trials=8), metric)
    pieces = []
    for _ in range(8):  # killed after every trial
        again = optuna.load_study(study_name=stored.study_name, storage=stored._storage)
        trials = source(again, sampler=sampler, trials=8)
        work = handed_out(trials)
        pieces.append(work.training)
        train(trials, work, metric(work.training))
    assert pieces == whole


WRITES = [
    "create_new_trial",
    "set_trial_param",
    "set_trial_user_attr",
    "set_trial_system_attr",
    "set_trial_intermediate_value",
    "set_trial_state_values",
]


def kill_before_writes(study: Study, places: set[int]) -> None:
    """Let the study's memory die instead of its writes number ``places``, all kinds counted."""
    storage, writes = study._storage, 0

    def mortal(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            nonlocal writes
            writes += 1
            if writes in places:
                raise Killed
            return write(*args, **kwargs)

        return call

    for name in WRITES:
        setattr(storage, name, mortal(getattr(storage, name)))


@given(st.sets(st.integers(1, 120), max_size=6))
def test_killed_before_any_write_the_search_still_comes_to_its_end(places: set[int]):
    study = new_study()
    kill_before_writes(study, places)
    lives = len(places) + 1
    ended = False
    while not ended:
        assert lives, "died of something else"
        lives -= 1
        try:
            trials = source(study, problem_of(parameters=80), trials=5)
            works = [work for _ in range(3) if (work := trials.next()) is not None]
            for work in works:
                train(trials, work)
            drive(trials)
            ended = True
        except Killed:
            continue
    check_the_end(study, 5)


def check_the_end(study: Study, wanted: int) -> None:
    """Exactly so many trials count, none runs, no tree was trained twice or forgotten."""
    frozen = study.get_trials()
    ended = Counter(
        tree_of_trial(SPACE, t)
        for t in frozen
        if outcome_of(t).counts or outcome_of(t).failed  # lost while failing: runs again
    )
    assert sum(outcome_of(trial).counts for trial in frozen) == wanted
    assert all(trial.state is not TrialState.RUNNING for trial in frozen)
    assert set(ended.values()) <= {1}
    lost = {tree_of_trial(SPACE, t) for t in frozen if outcome_of(t) is Outcome.LOST} - {None}
    assert lost <= known_trees(study, SPACE)


class Drill:
    """A search on which anything may happen at any moment; what is handed out is kept in order."""

    def __init__(self, study: Study, wanted: int) -> None:
        self.study, self.wanted = study, wanted
        self.die_in_training = False
        self.running: dict[str, tuple[Work, int]] = {}
        self.born()

    def born(self) -> None:
        self.running.clear()
        self.trials = source(
            self.study,
            problem_of(parameters=80),
            training=self.training,
            rule=halving(first=1, factor=2),
            trials=self.wanted,
            failures=100,
        )

    def training(self, tree: Tree) -> Tree:
        if self.die_in_training:
            self.die_in_training = False
            raise Killed
        return tree

    def next(self, *, dies: bool = False) -> None:
        self.die_in_training = dies
        try:
            work = self.trials.next()
        except Killed:
            self.born()
            return
        self.die_in_training = False
        if work is not None:
            assert work.training not in {other.training for other, _ in self.running.values()}
            self.running[work.key] = work, 0

    def report(self, which: int, event: Mapping[str, Any] | float) -> None:
        if not self.running:
            return
        key = sorted(self.running)[which % len(self.running)]
        work, number = self.running.pop(key)
        report = event if isinstance(event, Mapping) else epoch(number + 1, event)
        if self.trials.report(key, report):
            self.running[key] = work, number + 1
        else:
            self.trials.close(key)

    def restart_worker(self, which: int) -> None:
        if self.running:
            key = sorted(self.running)[which % len(self.running)]
            self.running[key] = self.running[key][0], 0

    def die_while_telling(self, which: int) -> None:
        """Between a training's last report and the moment at which the study hears of it."""

        def killed(*_: Any, **__: Any) -> None:  # noqa: ANN401
            raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.study, "tell", killed)
            try:
                self.report(which, FAILED if which % 2 else epoch(EPOCHS, last=True))
                return  # nothing ran
            except Killed:
                pass
        self.born()


events = st.one_of(
    st.tuples(st.just("next"), st.just(0)),
    st.tuples(st.just("report"), st.integers(0, 5)),
    st.tuples(st.just("fail"), st.integers(0, 5)),
    st.tuples(st.just("nan"), st.integers(0, 5)),
    st.tuples(st.just("restart_worker"), st.integers(0, 5)),
    st.tuples(st.sampled_from(["kill", "kill_in_next", "kill_in_tell"]), st.integers(0, 5)),
)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.lists(events, max_size=40), st.integers(1, 8), st.integers(0, 100))
def test_whatever_is_killed_the_search_comes_to_its_end(
    happens: list[tuple[str, int]], wanted: int, values: int
):
    drill = Drill(new_study(), wanted)
    for number, (event, which) in enumerate(happens):
        match event:
            case "next":
                drill.next()
            case "report":
                drill.report(which, float((values * (number + 1)) % 7))
            case "fail":
                drill.report(which, FAILED)
            case "nan":
                drill.report(which, math.nan)
            case "restart_worker":
                drill.restart_worker(which)
            case "kill":
                drill.born()
            case "kill_in_next":
                drill.next(dies=True)
            case "kill_in_tell":
                drill.die_while_telling(which)
    left = 500
    while not drill.trials.finished:
        left -= 1
        assert left, "does not come to its end"
        drill.next()
        drill.report(0, 1.0)
    if drill.trials.end is End.BUDGET_EXHAUSTED:
        check_the_end(drill.study, wanted)
    else:
        assert drill.trials.end is End.SPACE_EXHAUSTED
        assert set(problem_of(parameters=80).allowed) <= known_trees(drill.study, SPACE)
