"""What each sampler promises beyond the contract of all."""

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from branchsearch import catalog
from branchsearch.search.candidate import Candidate
from branchsearch.search.parameters import distributions, params_of, tree_of
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.evolution import crowding, evolution, nsga2_order
from branchsearch.search.samplers.exhaustive import exhaustive
from branchsearch.search.samplers.fresh import FreshSampler
from branchsearch.search.samplers.hub import optunahub_sampler
from branchsearch.search.samplers.random_tree import random_tree
from branchsearch.search.samplers.ranked import ranked, ranked_by_affinity
from branchsearch.search.samplers.stock import optuna_sampler, stock_names
from branchsearch.space.criterion import dissimilarity
from branchsearch.space.limits import Limits, PairLimit
from branchsearch.space.neighbours import neighbours
from branchsearch.space.space import Space
from branchsearch.tree import Tree
from tests.samplers import REGISTRY, ask, complete, grown, of_every_kind, problem_of, value

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

BOUNDED = problem_of(Space.of("abcd", 2), parameters=90)
LARGE = problem_of(Space.of("abcdefgh", 4), parameters=250)


def study_of(problem: Problem, scored: list[tuple[Tree, list[float]]]) -> optuna.Study:
    """A study in which these trees were trained."""
    wide = len(scored[0][1])
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"][:wide])
    for tree, values in scored:
        trial = optuna.create_trial(
            values=values,
            params=params_of(problem.space, tree),
            distributions=dict(distributions(problem.space)),
        )
        study.add_trial(trial)
    return study


# random_tree


def test_random_trees_are_uniform_over_the_allowed_ones():
    study, make = optuna.create_study(), random_tree(BOUNDED)
    study.ask()
    trees, draws = list(BOUNDED.allowed), 4000
    counts = Counter(
        tree_of(BOUNDED.space, make(seed).sample_relative(study, study.trials[0], {}))
        for seed in range(draws)
    )
    assert counts.keys() == set(trees)
    expected, freedom = draws / len(trees), len(trees) - 1
    squares = sum((counts[tree] - expected) ** 2 / expected for tree in trees)
    assert squares < freedom + 4 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_what_is_left_is_drawn_uniformly(share: float):
    """Where a sampler is stuck, each tree that is left has the same chance."""
    trees = list(BOUNDED.allowed)
    Random(4).shuffle(trees)
    known = {Candidate(tree) for tree in trees[: int(share * len(trees))]}
    stuck = ranked(trees[:1], BOUNDED)(0)
    draws = 1500
    counts = Counter(
        FreshSampler(stuck, BOUNDED, seed=seed)._left_over(known).tree for seed in range(draws)
    )
    assert not counts.keys() & {candidate.tree for candidate in known}
    expected, freedom = draws / (len(trees) - len(known)), len(trees) - len(known) - 1
    squares = sum((count - expected) ** 2 / expected for count in counts.values())
    missing = len(trees) - len(known) - len(counts)
    assert squares + missing * expected < freedom + 5 * (2 * freedom) ** 0.5


# exhaustive


def test_exhaustive_goes_through_the_space_in_order():
    trees = grown(exhaustive(BOUNDED), BOUNDED, 20, state=complete)[1]
    assert trees == [tree for tree, _ in zip(BOUNDED.allowed, range(20), strict=False)]


def test_exhaustive_wants_to_count():
    names = [f"t{number:02}" for number in range(20)]
    space = Space.of(names, 2, Limits(pairs=(PairLimit(("t00", "t01"), least=1),)))
    with pytest.raises(ValueError, match="counted and ranked up to"):
        exhaustive(problem_of(space))


# evolution


def test_a_child_is_a_step_from_a_good_parent():
    """All of the population are alike but for one, which wins every tournament that it is in."""
    random = Random(0)
    trees = [LARGE.allowed.sample(random) for _ in range(10)]
    study = study_of(LARGE, [(tree, [float(number == 7)]) for number, tree in enumerate(trees)])
    tree, _ = ask(study, evolution(LARGE, population=10, tournament=10), LARGE, seed=3)
    assert tree in set(neighbours(trees[7], LARGE.allowed))


def test_where_all_neighbours_are_known_theirs_are_tried():
    parent = LARGE.allowed.sample(Random(5))
    near = list(neighbours(parent, LARGE.allowed))
    further = {tree for one in near for tree in neighbours(one, LARGE.allowed)}
    study = study_of(LARGE, [*((tree, [0.0]) for tree in near), (parent, [1.0])])
    make = evolution(LARGE, population=2, tournament=2)
    found = [FreshSampler(make(seed), LARGE, seed=seed) for seed in range(10)]
    study.ask()
    params = [
        one.sample_relative(study, study.trials[-1], dict(distributions(LARGE.space)))
        for one in found
    ]
    children = [tree_of(LARGE.space, each) for each in params]
    # a walk may come back to where all is known, and lead a step further then
    assert sum(child in further for child in children) >= 6
    assert not {*near, parent} & set(children)


def test_a_lucky_score_dies_with_age():
    random = Random(1)
    trees = list(dict.fromkeys(LARGE.allowed.sample(random) for _ in range(30)))
    study = study_of(LARGE, [(tree, [100.0 * (n == 0)]) for n, tree in enumerate(trees)])
    parents = set(neighbours(trees[0], LARGE.allowed))
    for seed in range(20):
        assert ask(study, evolution(LARGE, tournament=20), LARGE, seed=seed)[0] not in parents


def test_with_several_objectives_the_front_does_not_age():
    random = Random(2)
    trees = list(dict.fromkeys(LARGE.allowed.sample(random) for _ in range(30)))
    scored = [(tree, [9.0, 0.0] if n == 0 else [0.0, 1.0 + n]) for n, tree in enumerate(trees)]
    study = study_of(LARGE, scored)
    make = evolution(LARGE, population=10, tournament=10)
    assert ask(study, make, LARGE, seed=0)[0] in set(neighbours(trees[0], LARGE.allowed))


def test_evolution_beats_random_trees_where_neighbours_are_alike():
    def best_of(name: str, seed: int) -> float:
        study, make = optuna.create_study(direction="maximize"), catalog.find("sampler", name)
        found = []
        for number in range(60):
            tree, trial = ask(study, make(LARGE), LARGE, seed=1000 * seed + number)
            # the fewer the better, with one branch parted off at the last stage
            found.append(-abs(value(tree) - 9.0) - 3 * (tree.widths[2] != 2))
            study.tell(trial, found[-1])
        return sum(found[-20:])

    rounds = [(best_of("evolution", seed), best_of("random_tree", seed)) for seed in range(3)]
    assert all(evolved > drawn for evolved, drawn in rounds)


@pytest.mark.parametrize("arguments", [{"population": 1}, {"tournament": 0}, {"tournament": 30}])
def test_evolution_says_what_it_needs(arguments: dict[str, int]):
    with pytest.raises(ValueError, match="needs population"):
        evolution(BOUNDED, **arguments)


def test_fronts_come_in_order_the_lonely_first():
    losses = np.array([[0, 4], [1, 2], [1.5, 1.9], [4, 0], [4, 4], [5, 5]], float)
    order = nsga2_order(losses, 6)
    assert set(order[:4]) == {0, 1, 2, 3}
    assert set(order[:2]) == {0, 3}  # the ends
    assert order[4:] == [4, 5]
    assert nsga2_order(losses, 2) == order[:2]


def test_crowding_by_hand():
    front = np.array([[0.0, 10.0], [2.0, 6.0], [5.0, 5.0], [10.0, 0.0]])
    np.testing.assert_allclose(crowding(front), [np.inf, 0.5 + 0.5, 0.8 + 0.6, np.inf])


def test_infinite_and_equal_losses_have_an_order():
    losses = np.array([[np.inf, 1.0], [0.0, 1.0], [0.0, 1.0], [-np.inf, 2.0]])
    assert sorted(nsga2_order(losses, 4)) == [0, 1, 2, 3]


# ranked


def test_ranked_goes_through_its_ranking_in_order():
    given = list(BOUNDED.allowed)[::-1][:12]
    assert grown(ranked(given, BOUNDED), BOUNDED, 12, state=complete)[1] == given


def test_ranked_reads_no_further_than_it_must():
    read: list[Tree] = []

    def trees():  # noqa: ANN202
        for tree in LARGE.allowed:
            read.append(tree)
            yield tree

    grown(ranked(trees(), LARGE), LARGE, 5, state=of_every_kind)
    assert len(read) <= 6


@pytest.mark.parametrize("criterion", ["mean", "sum", "gain"])
def test_large_spaces_are_gone_through_by_rising_dissimilarity(criterion: str):
    assert LARGE.allowed.count() > 100_000
    trees = grown(ranked_by_affinity(LARGE, criterion=criterion), LARGE, 40, state=complete)[1]
    assert len(set(trees)) == 40
    if criterion == "mean":
        scores = [dissimilarity(tree, LARGE.affinity) for tree in trees]
        drawn = [dissimilarity(LARGE.allowed.sample(Random(n)), LARGE.affinity) for n in range(40)]
        assert max(scores) < sum(drawn) / len(drawn)
        assert scores[0] == min(scores)


def test_an_unknown_criterion_is_refused_at_once():
    with pytest.raises(ValueError, match="one of mean, sum, gain, not 'max'"):
        ranked_by_affinity(LARGE, criterion="max")


# Optuna's


def test_every_sampler_of_optuna_has_a_name_or_a_reason():
    kinds = {
        name
        for name in optuna.samplers.__all__
        if name.endswith("Sampler") and not name.startswith("Base")
    }
    for name in kinds:
        if name in stock_names():
            assert callable(optuna_sampler(name, BOUNDED))
        else:
            with pytest.raises(ValueError, match=rf"optuna:{name} .*; "):
                optuna_sampler(name, BOUNDED)


def test_arguments_are_handed_on():
    make = optuna_sampler("TPESampler", BOUNDED, arguments={"n_startup_trials": 3})
    assert vars(make(0))["_n_startup_trials"] == 3


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("TPESample", {}, "did you mean optuna:TPESampler"),
        ("TPESampler", {"startup": 3}, "takes no 'startup'; it takes"),
        ("TPESampler", {"seed": 3}, "seed of optuna:TPESampler comes from the job"),
        ("NSGAIISampler", {"population_size": 1}, "cannot be made: .*population_size"),
    ],
)
def test_what_optuna_does_not_take_is_told(name: str, arguments: dict[str, int], message: str):
    with pytest.raises(ValueError, match=message):
        optuna_sampler(name, BOUNDED, arguments=arguments)


@pytest.mark.timeout(300)
def test_gaussian_processes_of_optuna_search_trees():
    make = optuna_sampler("GPSampler", BOUNDED, arguments={"n_startup_trials": 4})
    study, trees = grown(make, BOUNDED, 7, state=of_every_kind)
    lost = {trial.number for trial in study.trials if trial.state is TrialState.FAIL}
    kept = [tree for number, tree in enumerate(trees) if number not in lost]
    assert len(set(kept)) == len(kept)
    assert trees == grown(make, BOUNDED, 7, state=of_every_kind)[1]


# OptunaHub's


def test_a_package_with_several_samplers_asks_which():
    registry = str(REGISTRY)
    with pytest.raises(ValueError, match="has the samplers Seeded, Unseeded; say which"):
        optunahub_sampler("samplers/several", BOUNDED, registry=registry)
    with pytest.raises(ValueError, match="there is no Third"):
        optunahub_sampler("samplers/several", BOUNDED, registry=registry, sampler="Third")
    make = optunahub_sampler("samplers/several", BOUNDED, registry=registry, sampler="Seeded")
    assert type(make(0)).__name__ == "Seeded"
    with pytest.raises(ValueError, match="takes no seed"):
        optunahub_sampler("samplers/several", BOUNDED, registry=registry, sampler="Unseeded")


def test_a_sampler_of_the_hub_gets_its_arguments():
    registry = str(REGISTRY)
    optunahub_sampler("samplers/uniform", BOUNDED, registry=registry, arguments={"scale": 2.0})
    with pytest.raises(ValueError, match="scale must be positive, not -1"):
        optunahub_sampler("samplers/uniform", BOUNDED, registry=registry, arguments={"scale": -1})


def test_what_lacks_to_load_a_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match=r"no samplers/none/__init__.py in"):
        optunahub_sampler("samplers/none", BOUNDED, registry=str(tmp_path))
    broken = tmp_path / "samplers" / "broken"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("import no_such_module\n")
    with pytest.raises(ValueError, match="cannot be loaded: ModuleNotFoundError"):
        optunahub_sampler("samplers/broken", BOUNDED, registry=str(tmp_path))

    def no_network(package: str, *, ref: str) -> None:
        raise OSError(f"could not resolve host for {package} at {ref}")

    monkeypatch.setattr("optunahub.load_module", no_network)
    with pytest.raises(ValueError, match="needs git and a network; registry names a folder"):
        optunahub_sampler("samplers/auto_sampler", BOUNDED)
