from dataclasses import replace

import numpy as np

from branchsearch.jobs.confirm import Repeats, as_json, best_candidates, choose, named
from branchsearch.report.findings import Findings, TrialResult
from branchsearch.search.candidate import Candidate
from branchsearch.space.cost import Cost
from branchsearch.task import Direction, Task
from branchsearch.tree import Tree

TASKS = (
    Task("depth", "depth", "rmse", Direction.MINIMIZE),
    Task("seg", "segmentation", "mean_iou", Direction.MAXIMIZE, classes=4),
)
SEPARATE, SHARED = Tree.parse("depth,seg"), Tree.parse("depth+seg")


def repeats(tree: Tree, validation: list[float], test: list[float], candidate: bool) -> Repeats:
    """A network whose segmentation is as given, one number per seed."""
    as_metrics = [[{"depth": 1.0, "seg": value} for value in part] for part in (validation, test)]
    return Repeats(str(tree), tree, *as_metrics, Cost(1, 1), candidate)


def test_the_choice_is_made_on_validation_and_reported_on_test():
    networks = [
        repeats(SEPARATE, [0.4, 0.4], [0.5, 0.5], candidate=False),
        repeats(SHARED, [0.5, 0.6], [0.4, 0.6], candidate=True),
        repeats(SEPARATE, [0.45, 0.46], [0.9, 0.9], candidate=True),
    ]
    assert choose(TASKS, networks) == (1, 1)
    entries = as_json(TASKS, networks, 1)
    np.testing.assert_allclose(entries[1]["deltas"], [-10, 10])
    np.testing.assert_allclose(entries[1]["validation_deltas"], [12.5, 25])
    assert [entry["chosen"] for entry in entries] == [False, True, False]


def test_what_is_over_the_budget_is_not_chosen():
    networks = [
        repeats(SEPARATE, [0.4], [0.4], candidate=False),
        repeats(SHARED, [0.9], [0.9], candidate=False),
        repeats(SEPARATE, [0.1], [0.1], candidate=True),
    ]
    assert choose(TASKS, networks) == (2, 0)


def found(*trials: tuple[str, str, float, int]) -> Findings:
    results = [
        TrialResult(n, Tree.parse(tree), outcome, delta, {}, (), parameters, 1, 1.0)
        for n, (tree, outcome, delta, parameters) in enumerate(trials)
    ]
    return Findings("t", "job_1", TASKS, [], results, [], {}, {})


def test_the_front_comes_first_and_the_next_best_fill_up():
    findings = found(
        ("a+b+c", "complete", 1.0, 10),
        ("a,b+c", "complete", 0.9, 20),  # beaten in both
        ("a,b,c", "complete", 2.0, 30),
        ("a+b,c", "stopped", 9.0, 5),  # might have become anything
    )
    trees = [Tree.parse(text) for text in ("a,b,c", "a+b+c", "a,b+c")]
    best = [Candidate(tree) for tree in trees]
    assert best_candidates(findings, 2) == best[:2]
    assert best_candidates(findings, 9) == best
    assert best_candidates(findings, 2, but=best[1]) == [best[0], best[2]]


def test_what_is_expected_counts_for_more_than_one_lucky_training():
    findings = found(
        ("a+b+c", "complete", 1.0, 10),
        ("a,b+c", "complete", 5.0, 30),
        ("a,b,c", "complete", 4.0, 20),
    )
    lucky, solid, poor = (Tree.parse(text) for text in ("a,b+c", "a,b,c", "a+b+c"))
    assert best_candidates(findings, 1) == [Candidate(lucky)]
    worth = {lucky: 2.0, solid: 4.5, poor: 0.0}
    assert best_candidates(findings, 2, worth=worth) == [Candidate(solid), Candidate(lucky)]


def test_a_tree_is_confirmed_once_with_the_best_of_its_choices():
    plain = found(
        ("a+b", "complete", 1.0, 10), ("a+b", "complete", 3.0, 10), ("a,b", "complete", 2.0, 20)
    )
    rates = [(("rate", rate),) for rate in (0.1, 0.2, 0.3)]
    trials = [replace(t, choices=rate) for t, rate in zip(plain.trials, rates, strict=True)]
    findings = replace(plain, trials=trials)
    best = Candidate(Tree.parse("a+b"), rates[1])
    other = Candidate(Tree.parse("a,b"), rates[2])
    assert best_candidates(findings, 5) == [best, other]
    # what is passed over is the tree with those choices, not with any
    assert best_candidates(findings, 5, but=best) == [other, replace(best, choices=rates[0])]
    assert named(best) == "a+b with rate 0.2"
