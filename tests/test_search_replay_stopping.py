"""Early stopping on recorded curves, by hand."""

from pathlib import Path

import pytest

from branchsearch.search.early_stopping import Curve, Rule, halving, never
from branchsearch.search.replay.stopping import replay_stopping
from branchsearch.search.replay.table import CannotReplay
from tests.replaying import FIVE, table_of

#: "a,b" starts behind and wins.
CROSSING = 'tree,score:a,score:b,delta:1,delta:2\na+b,2,2,1,2\n"a,b",5,5,0,5\n'


def all_but_the_first(_curve: Curve, others: list[Curve]) -> bool:
    return bool(others)


def replayed(folder: Path, rule: Rule, text: str = CROSSING, trials: int = 2):
    return replay_stopping(table_of(text, folder), rule, trials=trials, repeats=200, seed=0)


def test_a_rule_that_never_stops_costs_nothing(tmp_path: Path):
    found = replayed(tmp_path, never)
    assert (found.stopped, found.epochs, found.lost, found.regret) == (0, 1, 0, 0)


def test_what_is_stopped_and_what_it_costs(tmp_path: Path):
    found = replayed(tmp_path, all_but_the_first)
    assert found.stopped == 0.5
    assert found.epochs == 0.75
    assert 0.4 < found.lost < 0.6  # whenever the winner comes second
    assert found.regret == pytest.approx(found.lost * 3)


def test_halving_stops_a_winner_that_starts_slowly(tmp_path: Path):
    found = replayed(tmp_path, halving(first=1, factor=2))
    assert 0.4 < found.lost < 0.6


def test_it_is_not_asked_after_the_last_epoch(tmp_path: Path):
    asked = []

    def rule(curve: Curve, _others: object) -> bool:
        asked.append(len(curve))
        return False

    replayed(tmp_path, rule)
    assert set(asked) == {1}


def test_where_everything_is_stopped_the_worst_is_left(tmp_path: Path):
    found = replayed(tmp_path, lambda _curve, _others: True)
    assert (found.stopped, found.lost, found.regret) == (1, 1, 3)


def test_a_table_without_curves(tmp_path: Path):
    with pytest.raises(CannotReplay, match="no curves"):
        replayed(tmp_path, never, FIVE)


def test_more_trials_than_trees(tmp_path: Path):
    with pytest.raises(CannotReplay, match="3 trials of a table of 2 trees"):
        replayed(tmp_path, never, trials=3)
