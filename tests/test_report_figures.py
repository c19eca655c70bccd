import json

import numpy as np
import pytest
from hypothesis import example, given, settings

from branchsearch.report.affinity_maps import affinity_maps, task_order
from branchsearch.report.curves import learning_curves
from branchsearch.report.findings import Findings
from branchsearch.report.pareto import pareto
from branchsearch.report.tree_figure import tree_figure
from branchsearch.tree import Tree
from tests.generators import trees
from tests.report_findings import a_job, findings, without

#: plotly takes its time over every figure
FEW = settings(max_examples=20, deadline=None)


@FEW
@given(findings())
def test_figures_are_made_of_whatever_was_found(found: Findings):
    json.loads(pareto(found).to_json())
    json.loads(learning_curves(found).to_json())


@FEW
@given(findings())
@example(a_job())
def test_a_map_per_stage_shows_every_value_where_it_belongs(found: Findings):
    stages, tasks = len(found.affinity), len(found.tasks)
    if not stages:
        with pytest.raises(ValueError, match="no affinity"):
            affinity_maps(found)
        return
    values = np.random.default_rng(0).uniform(-1, 1, (stages, tasks, tasks))
    found = without(found, affinity=values)
    figure = affinity_maps(found)
    order = [[task.name for task in found.tasks].index(name) for name in task_order(found)]
    assert len(figure.data) == stages
    for stage, trace in enumerate(figure.data):
        np.testing.assert_allclose(trace.z, values[stage][np.ix_(order, order)], atol=5e-4)
        assert list(trace.x) == [task_order(found)[n] for n in range(tasks)]
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (-1, 1)


def test_a_task_called_like_a_number_is_a_category():
    assert affinity_maps(a_job()).layout.xaxis.type == "category"


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
