from dataclasses import replace
from itertools import permutations
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings

from branchsearch.report.findings import Findings
from branchsearch.report.why import (
    NothingToExplain,
    branching_points,
    in_words,
    tree_to_explain,
    why,
)
from branchsearch.tree import Tree
from tests.generators import trees
from tests.report_findings import (
    CHOSEN,
    a_job,
    affinity,
    confirmed,
    findings,
    random_affinity,
    trial,
    without,
)


def partings(tree: Tree) -> set[tuple[int, str, str]]:
    """Every two tasks of a tree with the stage at which they part."""
    columns = dict(zip(tree.tasks, zip(*tree.branches, strict=True), strict=True))
    return {
        (next(s for s, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b), one, other)
        for one, ours in columns.items()
        for other, theirs in columns.items()
        if one < other and ours != theirs
    }


@given(trees())
def test_every_two_tasks_that_part_do_so_at_one_branching_point(tree: Tree):
    found = [
        (stage, *sorted((one, other)))
        for stage, branches, _ in branching_points(tree)
        for ours in branches
        for theirs in branches
        if ours < theirs
        for one in ours
        for other in theirs
    ]
    assert len(found) == len(set(found))
    assert set(found) == partings(tree)


@given(trees())
def test_the_merged_tree_differs_in_that_branching_point_alone(tree: Tree):
    for stage, branches, merged in branching_points(tree):
        rows = zip(tree.branches, merged.branches, strict=True)
        assert [number for number, (ours, theirs) in enumerate(rows) if ours != theirs] == [stage]
        assert merged.widths[stage] == tree.widths[stage] - len(branches) + 1
        together = sorted(task for branch in branches for task in branch)
        assert tuple(together) in [tuple(sorted(m)) for m in merged.members(stage)]


@settings(max_examples=30)
@given(findings())
def test_a_tree_is_explained_from_whatever_was_found(found: Findings):
    for tree in {tried.tree for tried in found.trials}:
        for point in why(tree, found):
            values = [pair.likeness[0].value for pair in point.pairs if pair.likeness]
            assert values == sorted(values, reverse=True)
            for pair in point.pairs:
                assert len(pair.likeness) == sum(
                    2 if measured.measure == "tag" else 1 for measured in found.affinities
                )


def job_with(deltas: dict[str, tuple[float, str]]) -> Findings:
    """Trials of given trees with given Δ and outcome, over three tasks."""
    trials = [
        trial(number, Tree.parse(tree), outcome, delta)
        for number, (tree, (delta, outcome)) in enumerate(deltas.items())
    ]
    names = ["a", "b", "c"]
    values = np.array([[[1, 0.8, 0.1], [0.8, 1, 0.3], [0.1, 0.3, 1]]] * 2)
    return without(
        a_job(), trials=trials, confirmed=[], budget={}, affinities=[affinity(names, values)]
    )


def test_the_effect_is_the_difference_of_means_with_its_standard_error():
    found = job_with(
        {
            "a+b+c > a+b,c": (4.0, "complete"),
            "a+b+c > a+b+c": (2.0, "complete"),
            "a+b,c > a+b,c": (3.0, "complete"),
            "a,b,c > a,b,c": (0.0, "complete"),
            "a+b+c > a,b,c": (1.0, "complete"),
            "a+b,c > a,b,c": (99.0, "stopped"),  # might have become anything
        }
    )
    (point,) = why(Tree.parse("a+b+c > a+b,c"), found)
    assert (point.stage, point.branches) == (1, (("a", "b"), ("c",)))
    pairs = {pair.tasks: pair for pair in point.pairs}
    assert list(pairs) == [("b", "c"), ("a", "c")]  # the most alike first
    effect = pairs["a", "c"].effect
    assert effect is not None
    assert (effect.sharing, effect.parted) == (1, 4)
    assert effect.difference == pytest.approx(2.0 - fmean([4, 3, 0, 1]))
    assert effect.error is None
    (first, *_) = why(Tree.parse("a+b+c > a,b,c"), found)
    effect = {pair.tasks: pair for pair in first.pairs}["a", "b"].effect
    assert effect is not None
    assert effect.difference == pytest.approx(3.0 - 0.5)
    assert effect.error == pytest.approx((1 / 3 + 0.5 / 2) ** 0.5)


def test_the_direct_comparison_is_with_the_tree_that_parts_a_stage_later():
    found = job_with({"a+b+c > a+b,c": (4.0, "complete"), "a+b+c > a+b+c": (2.5, "complete")})
    (point,) = why(Tree.parse("a+b+c > a+b,c"), found)
    (direct,) = point.direct
    assert direct.merged == Tree.share_all("abc", 2)
    assert (direct.gain, direct.test) == (1.5, False)
    stopped = job_with({"a+b+c > a+b,c": (4.0, "complete"), "a+b+c > a+b+c": (2.5, "stopped")})
    assert why(Tree.parse("a+b+c > a+b,c"), stopped)[0].direct == ()


def test_confirmed_networks_are_compared_on_the_test_part():
    merged = Tree.parse(
        "depth+edges+normals+seg > depth+edges+normals+seg > depth+normals,edges,seg"
    )
    gains = {task: [1.0, 1.0, 1.0] for task in CHOSEN.tasks}
    found = a_job()
    found = without(found, confirmed=[*found.confirmed, confirmed("m", merged, gains)])
    first, _ = why(CHOSEN, found)
    (direct,) = first.direct
    assert direct.test
    assert direct.told_apart
    assert direct.gain == pytest.approx(2.0)
    assert len(direct.parted_deltas) == 3


def test_single_task_networks_are_no_tree_that_was_trained():
    alone = Tree.share_none(["depth", "edges", "normals", "seg"], 3)
    found = a_job()
    gains = {task: [1.0, 1.0] for task in alone.tasks}
    later = Tree.from_labels(alone.tasks, [[0] * 4, range(4), range(4)])
    found = without(found, confirmed=[*found.confirmed, confirmed("l", later, gains)], trials=[])
    assert why(alone, found)[0].direct == ()


def test_both_directions_of_a_measure_are_told():
    found = without(job_with({}), affinities=[random_affinity(["a", "b", "c"], 2, 0, "tag")])
    point, *_ = why(Tree.share_none("abc", 2), found)
    pair = point.pairs[0]
    values = found.affinities[0].estimate.values[point.stage]
    for alike, (suited, by) in zip(pair.likeness, permutations(pair.tasks), strict=True):
        assert alike.suits == suited
        assert alike.value == values["abc".index(suited), "abc".index(by)]


def test_words_give_interval_and_mark_chance():
    pair = why(CHOSEN, a_job())[0].pairs[0]
    assert in_words(pair.likeness[0], 0.05) == "rsa 0.5 (0.4 to 0.6)"
    doubted = replace(pair.likeness[0], chance=0.2, low=float("nan"), suits="a")
    assert in_words(doubted, 0.05) == "rsa for a 0.5 ×"


def test_the_tree_to_explain_is_the_chosen_one_else_the_best():
    found = a_job()
    assert tree_to_explain(found) == CHOSEN
    assert tree_to_explain(without(found, confirmed=[])) == CHOSEN
    with pytest.raises(NothingToExplain, match="no tree to its end"):
        tree_to_explain(without(found, confirmed=[], trials=[]))
