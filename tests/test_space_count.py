import pytest

from branchsearch.space.count import count_trees

#: Trees of T tasks over 1 ... 6 stages, as published tables and enumeration have them.
COUNTS = {
    2: [2, 3, 4, 5, 6, 7],
    3: [5, 12, 22, 35, 51, 70],
    4: [15, 60, 154, 315, 561, 910],
    5: [52, 358, 1_304, 3_455, 7_556, 14_532],
    6: [203, 2_471, 12_915, 44_590, 120_196, 274_778],
    7: [877, 19_302, 146_115, 660_665, 2_201_856, 5_995_892],
}


@pytest.mark.parametrize("tasks", COUNTS)
def test_counts_are_the_known_ones(tasks: int):
    assert [count_trees(tasks, stages) for stages in range(1, 7)] == COUNTS[tasks]


@pytest.mark.parametrize(
    ("stages", "count"),
    [(1, 4_140), (3, 1_855_570), (4, 11_035_095), (5, 45_592_666), (6, 148_154_860)],
)
def test_eight_tasks(stages: int, count: int):
    assert count_trees(8, stages) == count


def test_forty_tasks_are_counted_exactly():
    assert f"{count_trees(40, 5):.1e}" == "1.2e+63"


def test_one_task_has_one_tree():
    assert count_trees(1, 9) == 1


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match="-1 and 2"):
        count_trees(-1, 2)
