"""Replays: regret by hand, the same chances for all samplers, and what they are beside."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from branchsearch.search.replay.replay import Replay
from branchsearch.search.replay.synthetic import plant
from branchsearch.search.replay.synthetic import table_of as made_up
from branchsearch.search.replay.table import CannotReplay
from branchsearch.search.samplers.estimating import Estimates
from branchsearch.search.samplers.stock import nsga2, random, tpe
from branchsearch.tree import Tree
from tests.replaying import (
    FIVE,
    QUALITY,
    Knowing,
    Scripted,
    by_name,
    replay_of,
    table_of,
    trees_of,
)

BEST = 4


@pytest.fixture
def five(tmp_path: Path) -> Replay:
    return replay_of(table_of(FIVE, tmp_path), trials=5, repeats=6)


def starts(replay: Replay) -> list[float]:
    """The quality of the tree that each repeat starts with, from a sampler's first regret."""
    return [BEST - regret for regret in replay.of_random_tree().regret[:, 0]]


def test_regret_by_hand(five: Replay):
    order = ["a+b+c", "a+c,b", "a+b,c", "a,b,c", "a,b+c"]  # 0, 1, 2, 3, 4
    found = five.of_sampler(lambda _: Climbing(five.problem.space, trees_of(order)))
    for start, regret in zip(starts(five), found.regret, strict=True):
        seen = [start, *(quality for quality in range(5) if quality != start)]
        assert regret.tolist() == [BEST - max(seen[:n]) for n in range(1, 6)]
    assert len(set(starts(five))) > 1  # repeats differ


class Climbing(Scripted):
    """Proposes the first of its trees that no trial has."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        tried = {other.user_attrs.get("tree") for other in study.get_trials(deepcopy=False)}
        left = [tree for tree in self._trees if str(tree) not in tried]
        return Scripted(self._space, left[:1]).sample_relative(study, trial, dict(search_space))


def test_a_proposal_that_was_tried_becomes_the_nearest_that_was_not(five: Replay):
    # share all, again and again: every tree with two branches is at distance 2, share none at 3
    stubborn = five.of_sampler(lambda _: Scripted(five.problem.space, [Tree.share_all("abc", 1)]))
    assert (stubborn.regret[:, -1] == 0).all()  # five trainings are all trees
    for start, regret in zip(starts(five), stubborn.regret, strict=True):
        if start != QUALITY["a,b,c"]:
            assert regret[3] == 0  # share none comes last, and so the best is among four


def test_every_sampler_starts_with_the_same_trees_and_sees_the_same_rows():
    made = plant(3, 2, seed=0, noise=5.0)
    replay = replay_of(made_up(made, seeds=5, seed=0), trials=9, start=4, repeats=8)
    found = [replay.of_sampler(f(replay.problem)) for f in (random, tpe, nsga2)]
    found.append(replay.of_random_tree())
    assert len({tuple(each.regret[:, 0]) for each in found}) == 1
    assert len({tuple(each.regret[:, -1]) for each in found}) > 1


def test_noise_makes_the_lucky_tree_win_and_regret_is_against_the_mean(tmp_path: Path):
    # "a,b" is better on average, and "a+b" looks better with one of its seeds
    text = 'tree,seed,score:a,score:b\na+b,0,9,9\na+b,1,-9,-9\n"a,b",0,1,1\n"a,b",1,1,1\n'
    replay = replay_of(table_of(text, tmp_path), trials=2, start=2, repeats=200, cost=None)
    regret = replay.of_random_tree().regret
    assert set(regret.ravel()) == {0.0, 1.0}
    assert 0.4 < regret.mean() < 0.6  # one of two seeds is lucky


def test_a_sampler_that_estimates_is_taken_at_its_word(five: Replay):
    wrong = {name: -quality for name, quality in QUALITY.items()}
    trees = trees_of(list(QUALITY))
    found = five.of_sampler(lambda _: Knowing(five.problem.space, trees, by_name(wrong)))
    assert found.spearman.tolist() == pytest.approx([-1] * five.repeats)
    assert (found.regret[:, -1] == BEST).all()  # it recommends the worst


def test_samplers_without_estimates_have_no_ranking(five: Replay):
    found = five.of_sampler(random(five.problem))
    assert np.isnan(found.spearman).all()
    assert not isinstance(random(five.problem)(0), Estimates)


def test_random_trees_are_uniform(tmp_path: Path):
    replay = replay_of(table_of(FIVE, tmp_path), trials=1, repeats=1000)
    regrets, counts = np.unique(replay.of_random_tree().regret, return_counts=True)
    assert regrets.tolist() == [0, 1, 2, 3, 4]
    assert counts.min() > 150


def test_rules_take_one_tree_each(five: Replay):
    found = {name: each.regret for name, each in five.of_rules().items()}
    assert set(found) == {"share_all", "share_none", "most_cost_that_fits"}
    assert {regret.shape for regret in found.values()} == {(6, 5)}
    assert (found["share_all"] == BEST - QUALITY["a+b+c"]).all()
    assert (found["share_none"] == BEST - QUALITY["a,b,c"]).all()
    assert (found["most_cost_that_fits"] == BEST - QUALITY["a,b,c"]).all()


def test_rules_keep_to_the_budget_and_draw_between_equals(tmp_path: Path):
    within = table_of(FIVE, tmp_path).within({"parameters": 20})
    rules = replay_of(within, repeats=100).of_rules()
    for name in ("share_none", "most_cost_that_fits"):
        assert set(rules[name].regret[:, 0]) == {0, 2, 3}  # all with two branches
    assert (rules["share_all"].regret == BEST).all()


def test_without_costs_there_is_neither_hypervolume_nor_a_dearest_tree(tmp_path: Path):
    table = table_of(FIVE.replace("cost:parameters", "price"), tmp_path)
    replay = replay_of(table, cost=None)
    assert set(replay.of_rules()) == {"share_all", "share_none"}
    assert np.isnan(replay.of_random_tree().hypervolume).all()


def test_hypervolume_is_a_part_of_the_whole_front(tmp_path: Path):
    replay = replay_of(table_of(FIVE, tmp_path), trials=5)
    assert (replay.of_random_tree().hypervolume == 1).all()
    # above quality 0 and below cost 30: the front is (20, 4) alone, of area 10 · 4
    assert replay.share_of_front(np.array([1])) == 10 * 2 / 40
    assert replay.share_of_front(np.array([0])) == 0


def test_the_same_seed_gives_the_same_replay_and_another_one_another(tmp_path: Path):
    table = table_of(FIVE, tmp_path)
    once, again, other = (
        replay_of(table, seed=seed, repeats=20).of_sampler(
            tpe(replay_of(table).problem, n_startup_trials=1)
        )
        for seed in (3, 3, 4)
    )
    assert once.regret.tolist() == again.regret.tolist() != other.regret.tolist()


def test_trials_carry_what_a_job_writes(five: Replay):
    studies: list[Study] = []
    found = five.of_sampler(
        lambda _: Watching(five.problem.space, trees_of(list(QUALITY)), studies)
    )
    assert len(found.regret) == len(set(map(id, studies)))
    for trial in studies[0].get_trials(states=(TrialState.COMPLETE,)):
        quality = QUALITY[trial.user_attrs["tree"]]
        assert trial.value == trial.user_attrs["delta"] == quality
        gains = [trial.user_attrs[f"gain/{task}"] for task in "abc"]
        assert gains == ([3, 3, 0] if quality == 2 else [quality] * 3)
        assert trial.user_attrs["outcome"] == "complete"
        assert trial.user_attrs["parameters"] in (10, 20, 30)


class Watching(Scripted):
    """Keeps the studies that it is asked about."""

    def __init__(self, space: Any, trees: Sequence[Tree], studies: list[Study]) -> None:  # noqa: ANN401
        super().__init__(space, trees)
        self._studies = studies

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:  # noqa: ARG002
        self._studies.append(study)
        assert sum(t.state is TrialState.RUNNING for t in study.get_trials()) == 1


def test_a_sampler_is_made_anew_for_every_proposal_by_other_seeds(five: Replay):
    seeds: list[int] = []

    def make(seed: int) -> BaseSampler:
        seeds.append(seed)
        return random(five.problem)(seed)

    five.of_sampler(make)
    assert len(set(seeds)) == len(seeds) == five.repeats * five.trials


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"trials": 6}, "6 trials are asked for, and the table has 5 allowed trees"),
        ({"start": 0}, "not with 0"),
        ({"trials": 2, "start": 3}, "not with 3"),
        ({"repeats": 0}, "at least 1 repeat"),
    ],
)
def test_numbers_that_do_not_fit(tmp_path: Path, asked: dict[str, int], fault: str):
    with pytest.raises(CannotReplay, match=fault):
        replay_of(table_of(FIVE, tmp_path), **asked)


def test_a_table_of_one_tree(tmp_path: Path):
    replay = replay_of(table_of("tree,score:a\na,1\n", tmp_path), trials=1, cost=None)
    assert (replay.of_sampler(tpe(replay.problem)).regret == 0).all()
    assert math.isnan(replay.of_random_tree().spearman[0])
