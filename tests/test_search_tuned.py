"""Searches of trees with more beside them: choices, candidates, and the trials of a study."""

from collections.abc import Callable
from random import Random
from statistics import fmean
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from branchsearch.search.candidate import (
    Candidate,
    candidate_of,
    candidate_of_trial,
    drawn,
    own,
    params_of_candidate,
    ranges,
)
from branchsearch.search.early_stopping import never
from branchsearch.search.outcome import Outcome, outcome_of
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.random_tree import random_tree
from branchsearch.search.trials import End, StudyTrials
from branchsearch.search.tuned import Choices, Tuned, as_text, draw, holds, values_of
from branchsearch.space.cost import Cost, CostTable
from branchsearch.space.extremes import extremes
from branchsearch.space.space import Space
from branchsearch.tree import Tree
from tests.samplers import SAMPLERS, costs_of, problem_of, tuned_in

SPACE = Space.of("abc", 2)
PROBLEM = problem_of(SPACE, tuned_in(SPACE), parameters=120)

DISTRIBUTIONS = [
    CategoricalDistribution((None, "[1, 2]", 3)),
    IntDistribution(2, 11, step=3),
    IntDistribution(1, 100, log=True),
    FloatDistribution(0.5, 2.0),
    FloatDistribution(0.0, 1.0, step=0.25),
    FloatDistribution(0.001, 0.01, step=0.001),
    FloatDistribution(1e-4, 1e-1, log=True),
    FloatDistribution(3.0, 3.0),
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=str)
def test_draws_are_in_range_and_reach_every_value(distribution: BaseDistribution):
    random = Random(0)
    values = [draw(distribution, random) for _ in range(2000)]
    assert all(holds(distribution, value) for value in values)
    finite = values_of(distribution)
    if finite is not None:
        assert set(values) == set(finite)
    else:
        assert len(set(values)) > 1000


def test_logarithmic_draws_are_even_over_the_logarithm():
    random = Random(1)
    values = [draw(FloatDistribution(1e-4, 1e-1, log=True), random) for _ in range(3000)]
    assert fmean(value < 1e-3 for value in values) == pytest.approx(1 / 3, abs=0.03)


def test_what_is_no_number_is_in_no_range():
    assert not holds(FloatDistribution(0, 2), "1")
    assert not holds(FloatDistribution(0, 2), True)
    assert not holds(IntDistribution(0, 2), None)


def test_own_values_are_checked():
    range_ = {"rate": FloatDistribution(0, 1)}
    with pytest.raises(ValueError, match="out of range"):
        Tuned(range_, (("rate", 2.0),), lambda _: costs_of(SPACE))
    with pytest.raises(ValueError, match="own values"):
        Tuned(range_, (), lambda _: costs_of(SPACE))


@pytest.mark.parametrize("own", [0.3, 0.1 + 0.2])
def test_steps_of_a_range_are_decimals_whatever_rounding_adds(own: float):
    range_ = {"rate": FloatDistribution(0, 1, step=0.1)}
    tuned = Tuned(range_, (("rate", own),), lambda _: costs_of(SPACE))
    assert tuned.own == tuned.of({"rate": 3 * 0.1}) == (("rate", 0.3),)
    expected = [number / 10 for number in range(11)]
    assert [dict(each)["rate"] for each in tuned.combinations(11) or ()] == expected


def test_combinations_are_all_there_are_or_none():
    whole = {"a": IntDistribution(1, 3), "b": CategoricalDistribution(("x", "y"))}
    tuned = Tuned(whole, (("a", 1), ("b", "x")), lambda _: costs_of(SPACE))
    found = tuned.combinations(6)
    assert found is not None
    assert len(set(found)) == 6
    assert tuned.combinations(5) is None
    assert tuned_in(SPACE).combinations(10**6) is None  # it has a range without steps


def test_choices_are_named_in_words():
    assert as_text((("rate", 0.00123456), ("width", "wide"))) == "rate 0.001235, width wide"


@given(st.integers(0, 2**32))
def test_a_candidate_is_its_parameters(seed: int):
    candidate = drawn(PROBLEM, Random(seed))
    params = params_of_candidate(PROBLEM, candidate)
    assert candidate_of(PROBLEM, params) == candidate
    assert all(holds(ranges(PROBLEM)[name], value) for name, value in params.items())
    assert PROBLEM.allows(candidate.tree, candidate.choices)


def test_what_a_tree_costs_depends_on_the_choices():
    tree = Tree.parse("a+b+c > a+b+c")
    wide = (("rate", 0.01), ("steps", 1), ("width", "wide"))
    assert PROBLEM.cost(tree, wide).parameters == 2 * PROBLEM.cost(tree).parameters
    none = extremes(SPACE)[1]
    assert PROBLEM.allows(none)
    assert not PROBLEM.allows(none, wide)


def test_a_tree_that_waits_without_choices_is_no_candidate_yet():
    study = optuna.create_study()
    tree = extremes(SPACE)[0]
    params = params_of_candidate(PROBLEM, own(PROBLEM, tree))
    study.enqueue_trial({name: params[name] for name in params if "_" in name})
    assert candidate_of_trial(PROBLEM, study.trials[0]) is None
    study.enqueue_trial(params)
    assert candidate_of_trial(PROBLEM, study.trials[1]) == own(PROBLEM, tree)


def search(
    study: optuna.Study,
    trials: int,
    problem: Problem = PROBLEM,
    sampler: Callable[[int], BaseSampler] | None = None,
) -> StudyTrials:
    return StudyTrials(
        study,
        problem,
        objectives=["delta"],
        sampler=sampler or random_tree(problem),
        rule=never,
        training=lambda candidate: candidate,
        gains=lambda metrics: metrics,
        first=extremes(SPACE),
        trials=trials,
        failures=3,
        seed=5,
    )


def run(trials: StudyTrials, most: int = 1000) -> list[Candidate]:
    trained: list[Candidate] = []
    while len(trained) < most and (work := trials.next()) is not None:
        trained.append(work.training)
        report: dict[str, Any] = {"metrics": {"a": 1.0}, "seconds": 1.0}
        trials.report(work.key, {"epoch": 1, "last": True, **report})
        trials.close(work.key)
    return trained


def test_each_candidate_is_trained_once_and_first_trees_with_the_jobs_own_choices():
    study = optuna.create_study(direction="maximize")
    trials = search(study, 40)
    trained = run(trials)
    assert trials.end is End.BUDGET_EXHAUSTED
    assert trained[:2] == [own(PROBLEM, tree) for tree in extremes(SPACE)]
    assert len(set(trained)) == len(trained) == 40
    assert len({candidate.tree for candidate in trained}) < 20  # trees came again
    for trial, candidate in zip(study.trials, trained, strict=True):
        cost = PROBLEM.cost(candidate.tree, candidate.choices)
        assert trial.user_attrs["parameters"] == cost.parameters <= 120
        assert dict(candidate.choices).items() <= trial.params.items()
        assert trial.state is TrialState.COMPLETE


def test_the_same_choices_again_are_a_repeat_and_others_are_not():
    study = optuna.create_study(direction="maximize")
    (first, *_) = run(search(study, 4), most=1)
    study.enqueue_trial(params_of_candidate(PROBLEM, first))
    other = tuple((n, 0.05 if n == "rate" else v) for n, v in first.choices)
    study.enqueue_trial(params_of_candidate(PROBLEM, Candidate(first.tree, other)))
    trained = run(search(study, 4))
    outcomes = [outcome_of(trial) for trial in study.trials]
    assert outcomes.count(Outcome.REPEAT) == 1
    assert Candidate(first.tree, other) in trained
    assert first not in trained


def test_over_the_budget_with_the_chosen_width_is_never_trained():
    study = optuna.create_study(direction="maximize")
    none = extremes(SPACE)[1]
    wide = Candidate(none, (("rate", 0.01), ("steps", 1), ("width", "wide")))
    study.enqueue_trial(params_of_candidate(PROBLEM, wide))
    trained = run(search(study, 3))
    assert wide not in trained
    assert outcome_of(study.trials[0]) is Outcome.OVER_BUDGET


@pytest.mark.parametrize("name", ["random_tree", "tpe", "nsga2", "ranked", "tree_gp"])
def test_the_space_is_exhausted_when_the_few_choices_that_fit_are(name: str):
    # of 40 widths two fit the budget, the second with one tree alone
    widths = {"width": IntDistribution(1, 40)}

    def costs(choices: Choices) -> CostTable:
        part = Cost(10 * dict(choices)["width"], 1)
        return CostTable((part, part), dict.fromkeys(SPACE.tasks, Cost(0, 0)))

    tuned = Tuned(widths, (("width", 1),), costs)
    affinity = np.zeros((2, 3, 3))
    problem = Problem(SPACE, costs((("width", 1),)), {"parameters": 40}, affinity, tuned)
    allowed = sum(problem.allowed_with(each).count() for each in tuned.combinations(40) or ())
    sampler = SAMPLERS[name](problem)
    trials = search(optuna.create_study(direction="maximize"), 100, problem, sampler)
    trained = run(trials)
    assert (trials.end, len(trained)) == (End.SPACE_EXHAUSTED, allowed)
    assert len(set(trained)) == allowed == 9


def test_a_killed_trial_comes_again_with_its_choices():
    study = optuna.create_study(direction="maximize")
    trials = search(study, 6)
    run(trials, most=3)
    work = trials.next()
    assert work is not None
    again = run(search(study, 6))  # the first driver is gone
    assert again[0] == work.training
