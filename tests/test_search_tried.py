import optuna
import pytest

from branchsearch.search.outcome import OUTCOME, Outcome
from branchsearch.search.parameters import distributions, params_of
from branchsearch.search.tried import finished_candidates, known_candidates, known_trees
from branchsearch.space.space import Space
from tests.samplers import problem_of

SPACE = Space.of("abc", 2)
TREES = list(SPACE)


@pytest.mark.parametrize("asked_between", [False, True])
def test_what_is_known_follows_the_study_whenever_it_is_asked(asked_between: bool):
    """What was read before changes nothing: trials end, are lost, come again."""
    study, problem = optuna.create_study(), problem_of(SPACE)
    expected = set()
    again = [Outcome.LOST, Outcome.REPEAT]
    outcomes = [Outcome.COMPLETE, Outcome.FAILED, *again, Outcome.OVER_BUDGET, Outcome.STOPPED]
    for tree, outcome in zip(TREES, outcomes, strict=False):
        study.enqueue_trial(params_of(SPACE, tree))
        if asked_between:
            assert known_trees(study, SPACE) == expected | {tree}
        trial = study.ask(dict(distributions(SPACE)))
        if asked_between:
            assert known_trees(study, SPACE) == expected | {tree}
            assert known_trees(study, SPACE, but=trial.number) == expected
        trial.set_user_attr(OUTCOME, outcome)
        ended = optuna.trial.TrialState.COMPLETE if outcome is Outcome.COMPLETE else None
        study.tell(trial, 1.0 if ended else None, state=ended or optuna.trial.TrialState.FAIL)
        if outcome not in again:
            expected.add(tree)
    assert known_trees(study, SPACE) == expected
    assert {candidate.tree for candidate in known_candidates(study, problem)} == expected
    assert {n: c.tree for n, c in finished_candidates(study, problem).items()} == dict(
        enumerate(TREES[: len(outcomes)])
    )
    assert known_trees(study, SPACE, but=0) == expected - {TREES[0]}


def test_two_trials_of_a_tree_are_told_apart():
    study = optuna.create_study()
    for _ in range(2):
        study.enqueue_trial(params_of(SPACE, TREES[0]))
        study.tell(study.ask(dict(distributions(SPACE))), 1.0)
    assert known_trees(study, SPACE, but=0) == {TREES[0]}


def test_studies_and_spaces_are_told_apart():
    one, other = optuna.create_study(), optuna.create_study()
    one.enqueue_trial(params_of(SPACE, TREES[3]))
    one.tell(one.ask(dict(distributions(SPACE))), 1.0)
    assert known_trees(one, SPACE) == {TREES[3]}
    assert known_trees(other, SPACE) == set()
    wide = Space.of("abc", 3)
    assert known_trees(one, SPACE) != known_trees(one, wide)
