"""Many workers in simulated time, over tables and made-up spaces."""

from typing import Any

import numpy as np
import pytest
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from branchsearch.search.problem import Problem
from branchsearch.search.replay.simulate import TableTrainings, simulate, walk
from branchsearch.search.replay.study import Found
from branchsearch.search.replay.synthetic import plant, table_of
from branchsearch.search.replay.table import CannotReplay, Table
from branchsearch.search.replay.tabled import problem_of
from branchsearch.search.samplers.stock import random
from branchsearch.tree import Tree
from tests.replaying import Scripted

SMALL = plant(3, 3, seed=0)
TABLE = table_of(SMALL, seeds=2, seed=0)


def of_table(table: Table = TABLE, seconds: float | None = 10.0) -> TableTrainings:
    return TableTrainings(table, problem_of(table), seconds)


def test_equal_trainings_go_in_rounds():
    trainings = of_table()
    found = simulate(trainings, random(trainings.problem), trials=10, workers=4, seed=0)
    assert found.ended.tolist() == [10] * 4 + [20] * 4 + [30] * 2
    assert found.busy == pytest.approx(100 / 120)  # two of four workers idle in the last round
    assert len(found.proposals) == 10


def test_one_worker_trains_one_after_the_other():
    trainings = of_table()
    found = simulate(trainings, random(trainings.problem), trials=3, workers=1, seed=0)
    assert found.ended.tolist() == [10, 20, 30]
    assert found.busy == 1


def test_trees_in_training_are_running_trials():
    trainings = of_table()
    seen: list[tuple[int, int]] = []

    class Watching(Scripted):
        def before_trial(self, study: Study, trial: FrozenTrial) -> None:  # noqa: ARG002
            states = [other.state for other in study.get_trials(deepcopy=False)]
            seen.append((states.count(TrialState.RUNNING), states.count(TrialState.COMPLETE)))

    space = trainings.problem.space
    make = Watching(space, [Tree.share_all(space.tasks, space.stages)])
    simulate(trainings, lambda _: make, trials=6, workers=3, seed=0)
    # the one that asks runs as well
    assert seen == [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (3, 3)]


def test_every_tree_of_a_table_comes_once_and_the_best_is_found():
    trainings = of_table(table_of(plant(3, 3, seed=0, noise=0.0), seeds=1, seed=0))
    trees = len(TABLE.trees)
    found = simulate(trainings, random(trainings.problem), trials=trees, workers=5, seed=0)
    assert found.best[-1] == max(map(SMALL.quality, TABLE.trees))
    assert (np.diff(found.best) >= 0).all()  # without noise nothing that looks better is worse


def test_luck_is_not_counted():
    lucky = of_table(table_of(plant(3, 3, seed=0, noise=20.0), seeds=1, seed=0))
    found = simulate(lucky, random(lucky.problem), trials=10, workers=2, seed=0)
    made = plant(3, 3, seed=0, noise=20.0)
    noisy = simulate(made, random(made.problem), trials=10, workers=2, seed=0)
    assert set(found.best) <= set(map(lucky.quality, TABLE.trees))
    assert set(noisy.best) <= set(map(made.quality, TABLE.trees))  # nobody is worth what was seen


def test_measured_times_are_taken_from_the_table():
    trainings = of_table(seconds=None)
    found = simulate(trainings, random(trainings.problem), trials=1, workers=1, seed=0)
    assert TABLE.seconds is not None
    assert found.ended[0] in TABLE.seconds


def test_somebody_has_to_say_how_long_a_training_takes():
    table = Table(TABLE.trees, TABLE.rows, TABLE.scores, TABLE.costs, TABLE.curves)
    with pytest.raises(CannotReplay, match="no column 'seconds'"):
        of_table(table, seconds=None)


def test_more_trials_than_trees():
    made = plant(3, 2, seed=0)
    with pytest.raises(CannotReplay, match="there are 12 allowed trees"):
        simulate(made, random(made.problem), trials=13, workers=2, seed=0)


def test_spaces_that_nobody_can_list_are_searched_without_repeats():
    made = plant(8, 5, seed=1)
    trained: list[Tree] = []

    class Noting:
        problem, quality, untried = made.problem, made.quality, made.untried

        def train(self, tree: Tree, random: np.random.Generator) -> tuple[Found, float]:
            trained.append(tree)
            return made.train(tree, random)

    stubborn = Scripted(made.problem.space, [Tree.share_all(made.problem.space.tasks, 5)])
    simulate(Noting(), lambda _: stubborn, trials=60, workers=7, seed=0)
    assert len(set(trained)) == 60


def test_a_walk_keeps_to_the_budget():
    problem = Problem(
        SMALL.problem.space,
        SMALL.problem.costs,
        {"parameters": SMALL.problem.cost(Tree.share_all(SMALL.problem.space.tasks, 3)).parameters},
        SMALL.problem.affinity,
    )
    dear = Tree.share_none(problem.space.tasks, 3)
    assert problem.allows(walk(dear, set(), problem, np.random.default_rng(0)))


def test_the_same_seed_gives_the_same_simulation():
    def once(seed: int) -> Any:  # noqa: ANN401
        made = plant(4, 3, seed=0)
        found = simulate(made, random(made.problem), trials=20, workers=3, seed=seed)
        return found.ended.tolist(), found.best.tolist()

    assert once(1) == once(1) != once(2)


def test_gains_by_hand():
    a, b, c = range(3)
    tree = Tree.parse("t00+t01+t02 > t00+t01+t02 > t00+t01,t02")
    expected = 0.0
    for stage, branches in enumerate([[(a, b, c)], [(a, b, c)], [(a, b), (c,)]]):
        for branch in branches:
            for task in branch:
                others = [SMALL.alike[stage, task, other] for other in branch if other != task]
                if others:
                    expected += SMALL.worth[stage] * np.mean(others)
                expected -= SMALL.crowding[stage] * np.log2(len(branch))
    assert SMALL.quality(tree) == pytest.approx(expected / 3)


def test_sharing_nothing_gains_nothing():
    assert SMALL.gains(Tree.share_none(SMALL.problem.space.tasks, 3)).tolist() == [0, 0, 0]


def test_noise_is_as_planted():
    made = plant(3, 1, seed=0, noise=2.0)
    tree = Tree.share_none(made.problem.space.tasks, 1)
    random = np.random.default_rng(0)
    drawn = [list(made.train(tree, random)[0].gains.values()) for _ in range(2000)]
    np.testing.assert_allclose(np.std(drawn, axis=0), made.noise, rtol=0.1)
