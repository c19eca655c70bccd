"""A tree in plain text, one line per task, for terminals and READMEs."""

from branchsearch.drawing.leaves import leaves, legible
from branchsearch.tree import Tree


def text(tree: Tree) -> str:
    """Draw a tree with box lines; a box is one copy of a stage and says how many tasks share it.

    >>> print(text(Tree.parse("depth+normals+seg > depth+normals,seg")))
    stage      0       1
    image ───┤ 3 ├─┬─┤ 2 ├─┬─ depth
                   │       └─ normals
                   └─┤ 1 ├─── seg
    """
    order = leaves(tree)
    columns = [tree.tasks.index(task) for task in order]
    rows = [[row[column] for column in columns] for row in tree.branches]  # [S, T], as drawn
    above = [[0] * len(order), *rows]
    below = [*rows, list(range(len(order)))]  # a head is a branch of its own
    digits = len(str(len(order)))
    stages = range(len(rows))
    heading = "stage " + "".join(f"{'':3}{stage:^{digits + 4}}" for stage in stages)
    lines = [
        ("image " if line == 0 else " " * 6)
        + "".join(
            _join(above[stage], below[stage], line) + _box(rows[stage], line, digits)
            for stage in stages
        )
        + _join(above[-1], below[-1], line)
        + f" {legible(task)}"
        for line, task in enumerate(order)
    ]
    return "\n".join([heading.rstrip(), *lines])


def _box(row: list[int], line: int, digits: int) -> str:
    """A copy of a stage, on the line of its first task."""
    if line != row.index(row[line]):
        return " " * (digits + 4)
    return f"┤ {row.count(row[line]):>{digits}} ├"


def _join(above: list[int], below: list[int], line: int) -> str:
    """What leads from a branch to those it feeds, on one line of the drawing."""
    fed = [n for n, (a, b) in enumerate(zip(above, below, strict=True)) if a == above[line]]
    starts = [n for n in fed if below.index(below[n]) == n]
    first, last = starts[0], starts[-1]
    if line not in starts:
        return " │ " if first < line < last else "   "
    if first == last:
        return "───"
    return "─┬─" if line == first else " └─" if line == last else " ├─"
