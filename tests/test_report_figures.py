import json
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from branchsearch.report.affinity_maps import affinity_maps, task_order
from branchsearch.report.curves import learning_curves
from branchsearch.report.findings import Findings
from branchsearch.report.pareto import pareto
from branchsearch.report.tree_figure import tree_figure
from branchsearch.tree import Tree
from tests.generators import trees
from tests.report_findings import a_job, findings, random_affinity

#: plotly takes its time over every figure
FEW = settings(max_examples=20, deadline=None)


@FEW
@given(findings())
def test_figures_are_made_of_whatever_was_found(found: Findings):
    json.loads(pareto(found).to_json())
    json.loads(learning_curves(found).to_json())


@FEW
@given(trees(), st.integers(0, 99), st.sampled_from(["rsa", "tag"]), st.randoms())
def test_a_map_per_stage_shows_every_value_where_it_belongs(
    tree: Tree, seed: int, measure: str, random: Random
):
    affinity = random_affinity(tree.tasks, len(tree.branches), seed, measure)
    order = random.sample(tree.tasks, k=len(tree.tasks))
    places = np.ix_(*[[affinity.tasks.index(name) for name in order]] * 2)
    figure = affinity_maps(affinity, order)
    assert len(figure.data) == len(tree.branches)
    found = affinity.estimate
    for stage, trace in enumerate(figure.data):
        np.testing.assert_allclose(trace.z, found.values[stage][places], rtol=0.02, atol=1e-3)
        assert list(trace.x) == list(trace.y) == order
        if measure == "rsa":
            told = np.array(trace.customdata, dtype=float)
            expected = np.dstack([part[stage][places] for part in (found.low, found.high)])
            np.testing.assert_allclose(told[..., :2], expected, atol=1e-3)
    end = figure.layout.coloraxis.cmax
    assert end == 1 if measure == "rsa" or len(order) == 1 else end < 0.003
    assert figure.layout.coloraxis.cmin == -end


@FEW
@given(st.integers(1, 40), st.integers(0, 99))
def test_crosses_mark_what_chance_may_have_given(tasks: int, seed: int):
    names = [f"task{n:02}" for n in range(tasks)]
    affinity = random_affinity(names, 2, seed, "rsa")
    for stage, trace in enumerate(affinity_maps(affinity, names).data):
        marked = np.array([["×" in cell for cell in row] for row in trace.text])
        expected = (affinity.estimate.chance[stage] > 0.05) & ~np.eye(tasks, dtype=bool)
        np.testing.assert_array_equal(marked, expected)


def test_without_chance_levels_nothing_is_marked_and_nothing_told():
    figure = affinity_maps(random_affinity("abc", 1, 0, "tag"), "abc")
    assert not any(np.ravel(figure.data[0].text))
    assert "chance" not in figure.data[0].hovertemplate
    assert "%{z:.5f}" in figure.data[0].hovertemplate


def test_a_task_called_like_a_number_is_a_category():
    figure = affinity_maps(random_affinity(["1", "40"], 1, 0, "rsa"), ["1", "40"])
    assert figure.layout.xaxis.type == "category"


def test_tasks_stand_in_the_order_of_the_chosen_tree():
    assert task_order(a_job()) == ("depth", "normals", "edges", "seg")


@FEW
@given(findings())
def test_curves_show_every_epoch_of_what_was_trained(found: Findings):
    figure = learning_curves(found)
    shown = sum(y is not None for t in figure.data if t.mode != "markers" for y in t.y)
    assert shown == sum(len(t.curve) for t in found.trials)


def test_stopped_curves_are_dashed():
    dashes = {trace.name: trace.line.dash for trace in learning_curves(a_job()).data if trace.name}
    assert dashes["stopped early"] == "dash"
    assert dashes["best 2"] is None


@FEW
@given(trees())
def test_the_tree_figure_names_each_task_once(tree: Tree):
    boxes, heads = tree_figure(tree).data
    assert sorted(name.strip() for name in heads.text) == sorted(tree.tasks)
    assert len(boxes.x) == 1 + sum(tree.widths)


def test_names_are_no_markup_for_plotly():
    figure = tree_figure(Tree.share_all(["<b&amp;", "x"], stages=1))
    assert any("&lt;b" in name for name in figure.data[1].text)
