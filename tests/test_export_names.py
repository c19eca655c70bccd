import keyword

from hypothesis import given
from hypothesis import strategies as st

from branchsearch.export.names import LONGEST, Names
from branchsearch.tree import Tree, check_task_name
from tests.generators import trees


def _is_name(text: str) -> bool:
    try:
        check_task_name(text)
    except ValueError:
        return False
    return True


@st.composite
def oddly_named_trees(draw: st.DrawFn, max_tasks: int = 5, max_stages: int = 4) -> Tree:
    """Any tree over any names that a tree may have."""
    tree = draw(trees(max_tasks, max_stages))
    name = st.text(min_size=1, max_size=30).filter(_is_name) | st.sampled_from(
        [
            "class",
            "self",
            "Seg",
            "seg",
            "SEG",
            "a_b",
            "a",
            "b",
            "日本",
            '"',
            "'''",
            "\\",
            "`|`",
            "x" * 99,
        ]
    )
    count = len(tree.tasks)
    tasks = draw(st.lists(name, min_size=count, max_size=count, unique=True))
    return Tree.from_labels(tasks, tree.branches)


@given(oddly_named_trees())
def test_every_part_has_a_short_identifier_of_its_own(tree: Tree):
    names = Names.of(tree)
    parts = [*(name for stage in names.stages for name in stage), *names.heads.values()]
    assert len(parts) == len(set(parts)) == sum(tree.widths) + len(tree.tasks)
    for name in parts:
        assert name.isascii()
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert len(name) <= LONGEST


def test_what_has_no_room_is_counted():
    tasks = [f"attribute{number}" for number in range(40)]
    tree = Tree.from_labels(tasks, [[0] * 40, range(40)])
    names = Names.of(tree)
    assert names.stages[0] == ("stage0_attribute0_attribute1_and_38_more",)
    assert names.stages[1][1] == "stage1_attribute1"


def test_names_that_read_alike_are_numbered():
    tree = Tree.from_labels(["e", "é", "E", "日"], [[0, 1, 2, 3]])
    assert Names.of(tree).heads == {
        "E": "head_e",
        "e": "head_e_2",
        "é": "head_e_3",
        "日": "head_task",
    }


def test_two_branches_whose_tasks_read_alike_are_numbered():
    tree = Tree.from_labels(["a", "b", "a_b"], [[0, 0, 1]])
    assert Names.of(tree).stages == (("stage0_a_b", "stage0_a_b_2"),)
