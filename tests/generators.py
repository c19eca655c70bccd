"""Random inputs for property tests."""

from hypothesis import strategies as st

from branchsearch.space.encoding import decode
from branchsearch.tree import Tree

#: Names that users can write: of any length and order, some of them awkward.
NAMES = ["seg", "depth", "Normals", "edges-2d", "a", "b.c", "d_1", "é", "40"]


@st.composite
def trees(draw: st.DrawFn, max_tasks: int = 5, max_stages: int = 4) -> Tree:
    """Any tree; shrinks towards one task and one stage."""
    tasks = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=max_tasks, unique=True))
    stages = draw(st.integers(1, max_stages))
    mates = [draw(st.integers(0, task - 1)) for task in range(1, len(tasks))]
    depths = [draw(st.integers(0, stages)) for _ in mates]
    return decode(tasks, stages, mates, depths)
