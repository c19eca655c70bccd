from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.measure import Estimate
from branchsearch.report.dendrograms import can_join, dendrograms, joints
from tests.report_findings import affinity, random_affinity

PLANTED = affinity(
    "abcd", np.array([[[1, 0, 0.9, 0], [0, 1, 0, 0.5], [0.9, 0, 1, 0.2], [0, 0.5, 0.2, 1]]])
)


def test_a_joint_stands_at_the_mean_affinity_of_what_it_joins():
    made = joints(PLANTED, 0)
    assert made.order in {("a", "c", "b", "d"), ("b", "d", "a", "c")}
    heights = sorted(float(alike.min()) for alike, _ in made.corners)
    assert heights == pytest.approx([0.05, 0.5, 0.9])
    for alike, places in made.corners:
        joined = {made.order[round(place)] for place in places[[0, 3]]}
        if alike.min() > 0.1:  # two tasks, not two groups
            assert joined == ({"a", "c"} if alike.min() > 0.7 else {"b", "d"})


def test_both_directions_of_a_pair_count_alike():
    directed = np.array([[[1, 0.2, 0.9], [0.6, 1, 0], [0.1, 0, 1]]])
    for values in (directed, directed.swapaxes(1, 2)):
        heights = sorted(
            float(alike.min()) for alike, _ in joints(affinity("abc", values), 0).corners
        )
        assert heights == pytest.approx([0.2, 0.5])  # a joins c at (0.9 + 0.1) / 2


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(0, 99), st.sampled_from(["rsa", "tag"]))
def test_every_task_is_a_leaf_once_at_its_place(tasks: int, seed: int, measure: str):
    names = [f"task{n:02}" for n in range(tasks)]
    given_ = random_affinity(names, 1, seed, measure)
    made = joints(given_, 0)
    assert sorted(made.order) == names
    assert len(made.corners) == tasks - 1
    ends = np.concatenate([places[[0, 3]] for _, places in made.corners])
    leaves = ends[np.isclose(ends % 1, 0) & (ends < tasks)]
    assert set(range(tasks)) <= set(leaves.round().astype(int))


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 12), st.integers(1, 5), st.integers(0, 99))
def test_a_panel_per_stage_names_every_task(tasks: int, stages: int, seed: int):
    names = [f"task{n:02}" for n in range(tasks)]
    figure = dendrograms(random_affinity(names, stages, seed, "rsa"))
    assert len(figure.data) == stages
    for number in range(1, stages + 1):
        axis = figure.layout[f"yaxis{number if number > 1 else ''}"]
        assert sorted(axis.ticktext) == names
        assert axis.range == (tasks - 0.5, -0.5)  # the first name on top, as in the maps


def test_planted_groups_of_forty_tasks_stand_together():
    group = np.arange(40) % 5
    names = [f"task{n:02}" for n in range(40)]
    noise = np.random.default_rng(0).normal(0, 0.05, (1, 40, 40))
    values = np.where(group[:, None] == group, 0.7, 0.1) + (noise + noise.swapaxes(1, 2)) / 2
    values[:, range(40), range(40)] = 1
    order = joints(affinity(names, values), 0).order
    along = [group[names.index(name)] for name in order]
    assert sum(one != other for one, other in pairwise(along)) == 4


def test_one_task_and_unknown_values_cannot_be_joined():
    single = affinity("a", np.ones((2, 1, 1)))
    gap = np.ones((1, 2, 2))
    gap[0, 0, 1] = np.nan
    for lacking in (single, Affinity("two_task", ("a", "b"), Estimate(gap, gap, gap, gap))):
        assert not can_join(lacking)
        with pytest.raises(ValueError, match="no affinity for every two tasks"):
            dendrograms(lacking)
