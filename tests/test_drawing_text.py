from hypothesis import given

from branchsearch.drawing.leaves import leaves, legible
from branchsearch.drawing.text import text
from branchsearch.tree import Tree
from tests.generators import trees


@given(trees())
def test_each_task_ends_one_line(tree: Tree):
    lines = text(tree).splitlines()[1:]
    assert [line.rsplit(" ", 1)[1] for line in lines] == list(leaves(tree))


@given(trees())
def test_a_box_per_copy_says_how_many_tasks_share_it(tree: Tree):
    lines = text(tree).splitlines()[1:]
    written = sorted(int(part.split("├")[0]) for line in lines for part in line.split("┤")[1:])
    members = [branch for stage in range(len(tree.branches)) for branch in tree.members(stage)]
    assert written == sorted(map(len, members))


@given(trees())
def test_every_line_that_leaves_somewhere_arrives_somewhere(tree: Tree):
    """Up, down, left and right ends of neighbouring cells meet; task names are cut off."""
    rows = text(tree).splitlines()[1:]
    width = 6 + 3 + len(tree.branches) * 8
    grid = [row[:width].ljust(width).replace("image", "    ─") for row in rows]
    down, up = "│┬├", "│└├"
    boxes = range(9, width, 8)  # ┤ and ├ are a box's sides at these columns, not crossings
    sides = {c for start in boxes for c in (start, start + 4)}
    for line, row in enumerate(grid):
        for column, cell in enumerate(row):
            if column in sides:
                continue
            below = grid[line + 1][column] if line + 1 < len(grid) else " "
            assert (cell in down) == (below in up), (line, column, text(tree))


@given(trees())
def test_those_of_a_branch_stand_together(tree: Tree):
    order = leaves(tree)
    for stage in range(len(tree.branches)):
        for members in tree.members(stage):
            places = sorted(map(order.index, members))
            assert places == list(range(places[0], places[0] + len(places)))


def test_a_name_cannot_steer_the_terminal():
    drawn = text(Tree.share_all(["a\x1b[2J", "b\u202e"], stages=1))
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn
    assert legible("a\x1b[2J") == r"a\x1b[2J"


def test_forty_tasks_take_forty_lines_of_one_screen():
    drawn = text(Tree.share_none([f"task{n}" for n in range(40)], stages=5)).splitlines()
    assert len(drawn) == 41
    assert max(map(len, drawn)) <= 80
