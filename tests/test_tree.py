from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.tree import Tree
from tests.generators import trees


@given(trees())
def test_notation_round_trips(tree: Tree):
    assert Tree.parse(str(tree)) == tree


@given(trees())
def test_blanks_do_not_matter(tree: Tree):
    assert Tree.parse(f"  {tree}  ".replace(",", " , ").replace("+", " + ")) == tree


@given(trees())
def test_every_task_is_in_exactly_one_branch_of_every_stage(tree: Tree):
    for stage in range(len(tree.branches)):
        members = [task for branch in tree.members(stage) for task in branch]
        assert sorted(members) == sorted(tree.tasks)


@given(trees())
def test_a_branch_holds_only_tasks_of_its_parent(tree: Tree):
    for stage in range(1, len(tree.branches)):
        above = tree.members(stage - 1)
        for members, parent in zip(tree.members(stage), tree.parents(stage), strict=True):
            assert set(members) <= set(above[parent])


@given(trees(), st.randoms())
def test_the_order_in_which_tasks_are_given_does_not_matter(tree: Tree, random: Random):
    order = random.sample(range(len(tree.tasks)), k=len(tree.tasks))
    tasks = [tree.tasks[task] for task in order]
    labels = [[row[task] for task in order] for row in tree.branches]
    assert Tree.from_labels(tasks, labels) == tree


@given(trees())
def test_sharing_all_and_none_are_the_extremes(tree: Tree):
    stages = len(tree.branches)
    assert Tree.share_all(tree.tasks, stages).widths == (1,) * stages
    assert Tree.share_none(tree.tasks, stages).widths == (len(tree.tasks),) * stages


@pytest.mark.parametrize("text", ["a+b > a", "a > a+b", "a+a > a", "a+b > a+b,b", "a+a"])
def test_every_stage_names_every_task_once(text: str):
    with pytest.raises(ValueError, match=r"same tasks once|distinct"):
        Tree.parse(text)


def test_tasks_that_parted_cannot_meet_again():
    with pytest.raises(ValueError, match=r"meet again at stage 1: a,b > a\+b"):
        Tree.parse("a,b > a+b")


@pytest.mark.parametrize("name", ["", " ", "a b", "a+b", "a,b", "a>b", "a\tb"])
def test_a_name_that_the_notation_cannot_write_is_refused(name: str):
    with pytest.raises(ValueError, match="task's name"):
        Tree((name,), ((0,),))


def test_no_task_and_no_stage_make_no_tree():
    with pytest.raises(ValueError, match="at least one task and one stage"):
        Tree((), ())
    with pytest.raises(ValueError, match="at least one task and one stage"):
        Tree(("a",), ())


@pytest.mark.parametrize("rows", [((1, 0),), ((0, 2),), ((0,),)])
def test_branches_are_numbered_in_order_of_first_appearance(rows: tuple[tuple[int, ...], ...]):
    with pytest.raises(ValueError, match="stage 0 does not number"):
        Tree(("a", "b"), rows)


def test_64_tasks_are_legal():
    tree = Tree.share_none([f"t{number}" for number in range(64)], 1)
    assert Tree.parse(str(tree)) == tree
