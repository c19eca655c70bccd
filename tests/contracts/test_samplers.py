"""What every sampler that a job can name promises; one from an installed package as well."""

from collections.abc import Callable

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase
from optuna.trial import TrialState

from branchsearch.search.parameters import params_of
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.fresh import FreshSampler, SpaceExhausted
from branchsearch.space.extremes import extremes
from branchsearch.space.space import Space
from tests.samplers import (
    SAMPLERS,
    Make,
    ask,
    ask_candidate,
    complete,
    end,
    grown,
    of_every_kind,
    problem_of,
    tuned_in,
    value,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore::optuna.exceptions.ExperimentalWarning",
    # of samplers that draw a kind of parameter that they do not know at random
    "ignore:.*dynamic search space.*:UserWarning",
    "ignore:.*CategoricalDistribution.*:UserWarning",
    "ignore:.*sampled independently.*:UserWarning",
)

SMALL = problem_of(Space.of("abc", 2))
BOUNDED = problem_of(Space.of("abcd", 2), parameters=90)
LARGE = problem_of(Space.of("abcdefghij", 4), parameters=300)
TUNED = problem_of(Space.of("abc", 2), tuned_in(Space.of("abc", 2)), parameters=120)


@pytest.fixture(params=sorted(SAMPLERS))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def sampler(name: str) -> Callable[[Problem], Make]:
    return SAMPLERS[name]


@pytest.mark.parametrize("state", [complete, of_every_kind])
def test_the_same_seed_and_study_give_the_same_proposals(
    sampler: Callable[[Problem], Make], state: Callable[[int], TrialState]
):
    one = grown(sampler(BOUNDED), BOUNDED, 15, state=state)[1]
    assert one == grown(sampler(BOUNDED), BOUNDED, 15, state=state)[1]


def test_a_restart_changes_nothing(sampler: Callable[[Problem], Make]):
    """A search that is killed after every trial proposes what one that runs on does."""
    through = grown(sampler(BOUNDED), BOUNDED, 25, state=of_every_kind)[1]
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="killed", storage=storage, direction="maximize")
    for number, tree in enumerate(through):
        study = optuna.load_study(study_name="killed", storage=storage)
        proposed, trial = ask(study, sampler(BOUNDED), BOUNDED, seed=number)
        assert proposed == tree
        end(study, trial, value(tree), of_every_kind(number))


@pytest.mark.parametrize("problem", [SMALL, BOUNDED], ids=["all", "bounded"])
def test_each_allowed_tree_is_proposed_once(sampler: Callable[[Problem], Make], problem: Problem):
    make = sampler(problem)
    study, trees = grown(make, problem, problem.allowed.count(), state=complete)
    assert sorted(map(str, trees)) == sorted(map(str, problem.allowed))
    with pytest.raises(SpaceExhausted):
        ask(study, make, problem, seed=0)


def test_neither_failed_nor_stopped_nor_running_trials_lead_astray(
    sampler: Callable[[Problem], Make],
):
    trees = grown(sampler(BOUNDED), BOUNDED, 30, state=of_every_kind)[1]
    assert all(BOUNDED.allows(tree) for tree in trees)
    # one that failed without a reason was lost, and may be tried again
    kept = [t for n, t in enumerate(trees) if of_every_kind(n) is not TrialState.FAIL]
    assert len(set(kept)) == len(kept)


def test_trials_that_run_are_not_proposed_again(sampler: Callable[[Problem], Make]):
    make = sampler(SMALL)
    study, trees = grown(make, SMALL, 3, state=complete)
    while len(trees) < SMALL.allowed.count():  # as many workers at once
        trees.append(ask(study, make, SMALL, seed=len(trees))[0])
    assert len(set(trees)) == len(trees)


def test_a_tree_that_is_enqueued_is_what_is_asked(sampler: Callable[[Problem], Make]):
    study = grown(sampler(BOUNDED), BOUNDED, 5, state=of_every_kind)[0]
    for tree in extremes(BOUNDED.space):
        study.enqueue_trial(params_of(BOUNDED.space, tree))
        assert ask(study, sampler(BOUNDED), BOUNDED, seed=9)[0] == tree


def test_spaces_too_large_to_list_are_searched(sampler: Callable[[Problem], Make]):
    trees = grown(sampler(LARGE), LARGE, 10, state=complete)[1]
    assert len(set(trees)) == 10
    assert all(LARGE.allows(tree) for tree in trees)


@pytest.mark.parametrize("name", sorted(SAMPLERS.keys() - {"optuna:CmaEsSampler"}))
def test_several_objectives(name: str):
    study = optuna.create_study(directions=["maximize", "minimize"])
    make, trees = SAMPLERS[name](BOUNDED), []
    for number in range(25):
        tree, trial = ask(study, make, BOUNDED, seed=number)
        study.tell(trial, [value(tree), float(BOUNDED.cost(tree).parameters)])
        trees.append(tree)
    assert len(set(trees)) == 25
    assert all(BOUNDED.allows(tree) for tree in trees)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_other_parameters_stand_beside_the_tree(name: str):
    def drawn() -> list[float]:
        study = optuna.create_study(direction="maximize")
        rates, make = [], SAMPLERS[name](BOUNDED)
        for number in range(12):
            rate = FloatDistribution(0.1, 1.0)
            candidate, trial = ask_candidate(study, make, BOUNDED, seed=number, rate=rate)
            rates.append(trial.params["rate"])
            study.tell(trial, value(candidate.tree))
        return rates

    rates = drawn()
    assert all(0.1 <= rate <= 1 for rate in rates)
    assert len(set(rates)) > 5
    assert rates == drawn()


@pytest.mark.parametrize("name", sorted(SAMPLERS.keys() - {"exhaustive"}))
def test_what_is_tuned_beside_the_tree_is_proposed_with_it(name: str):
    study = optuna.create_study(direction="maximize")
    make, candidates = SAMPLERS[name](TUNED), []
    for number in range(30):
        candidate, trial = ask_candidate(study, make, TUNED, seed=number)
        assert TUNED.allows(candidate.tree, candidate.choices)
        candidates.append(candidate)
        end(study, trial, value(candidate.tree), of_every_kind(number))
    # what a killed process lost may come again
    kept = [c for n, c in enumerate(candidates) if of_every_kind(n) is not TrialState.FAIL]
    assert len(set(kept)) == len(kept)
    for choice in ("rate", "steps", "width"):
        assert len({dict(candidate.choices)[choice] for candidate in candidates}) > 1


def test_where_no_tree_is_allowed_none_is_proposed(sampler: Callable[[Problem], Make]):
    problem = problem_of(Space.of("abc", 2), parameters=1)
    with pytest.raises(SpaceExhausted):
        ask(optuna.create_study(), sampler(problem), problem, seed=0)


# Optuna's own suite for samplers. Its parameters are others than a tree's. Not taken over:
# ``RelativeSamplerTestCase``, which hands ``sample_relative`` a space of its own; ours name a tree,
# whatever else they are handed.


class TestFresh(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture(params=sorted(SAMPLERS.keys() - {"optuna:CmaEsSampler"}))
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        make = SAMPLERS[request.param](SMALL)
        return lambda: FreshSampler(make(0), SMALL, seed=0)


class TestFreshOfOneObjective(BasicSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        make = SAMPLERS["optuna:CmaEsSampler"](SMALL)
        return lambda: FreshSampler(make(0), SMALL, seed=0)


class TestOurs(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture(params=["evolution", "exhaustive", "random_tree", "ranked"])
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        make = SAMPLERS[request.param](SMALL)
        return lambda: make(0)
