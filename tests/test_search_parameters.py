import optuna
from hypothesis import given

from branchsearch.search.parameters import distributions, params_of, tree_of, tree_of_trial
from branchsearch.space.space import Space
from branchsearch.tree import Tree
from tests.generators import trees


@given(trees())
def test_parameters_round_trip(tree: Tree):
    space = Space.of(tree.tasks, len(tree.branches))
    params = params_of(space, tree)
    assert tree_of(space, params) == tree
    assert all(distributions(space)[name]._contains(value) for name, value in params.items())


def test_two_parameters_a_task_but_for_the_first():
    assert sorted(distributions(Space.of("abc", 4))) == ["depth_b", "depth_c", "mate_b", "mate_c"]


def test_stages_that_may_not_split_need_no_parameter():
    space = Space(("a", "b"), (False, True, False))
    assert {tree_of(space, {"mate_b": 0, "depth_b": depth}) for depth in (0, 1)} == set(space)
    assert all(tree_of(space, params_of(space, tree)) == tree for tree in space)


def test_other_parameters_are_passed_over():
    space = Space.of("ab", 1)
    params = {**params_of(space, Tree.parse("a+b")), "learning_rate": 0.1}
    assert tree_of(space, params) == Tree.parse("a+b")


def test_a_trial_has_a_tree_in_every_state():
    space, study = Space.of("ab", 2), optuna.create_study()
    tree = Tree.parse("a+b > a,b")
    study.enqueue_trial(params_of(space, tree))
    assert tree_of_trial(space, study.trials[0]) == tree
    asked = study.ask(dict(distributions(space)))
    assert tree_of_trial(space, study.trials[0]) == tree
    study.tell(asked, 1.0)
    assert tree_of_trial(space, study.trials[0]) == tree


def test_a_trial_that_was_killed_while_asked_has_none():
    space, study = Space.of("abc", 2), optuna.create_study()
    study.ask().suggest_int("mate_b", 0, 0)
    assert tree_of_trial(space, study.trials[0]) is None
