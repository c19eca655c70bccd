"""Findings as reports are given them: random ones, and one that looks like a real job."""

import random
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
from hypothesis import strategies as st

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.measure import Estimate
from branchsearch.report.findings import Confirmed, Findings, TrialResult
from branchsearch.space.cost import Cost, CostTable
from branchsearch.task import KINDS, Task
from branchsearch.tree import Tree
from tests.generators import trees
from tests.tasks import task_of

OUTCOMES = ["complete", "stopped", "failed", "over_budget", "repeat", "lost", "running"]


def task(name: str, kind: str) -> Task:
    return task_of(kind, name=name)


def cost(tree: Tree) -> Cost:
    stages = tuple(Cost(60_000 * 2**n, 20_000_000) for n in range(len(tree.branches)))
    return CostTable(stages, dict.fromkeys(tree.tasks, Cost(24_000, 5_000_000))).of(tree)


def trial(number: int, tree: Tree, outcome: str, delta: float) -> TrialResult:
    scored = outcome in ("complete", "stopped")
    curve = [delta - 30 / epoch for epoch in range(1, 9 if outcome == "complete" else 4)]
    return TrialResult(
        number,
        tree,
        outcome,
        delta if scored else None,
        dict.fromkeys(tree.tasks, 0.5) if scored else {},
        curve if scored else [],
        cost(tree).parameters,
        cost(tree).multiply_adds,
        60.0,
    )


def confirmed(
    name: str, tree: Tree, gains: dict[str, list[float]], *, chosen: bool = False
) -> Confirmed:
    """A network whose tasks gain those percents over a single-task metric of 1, per seed."""
    signs = {name: task(name, kind).direction.sign for name, kind in TASKS.items()}
    metrics = {name: [1 + signs[name] * g / 100 for g in gain] for name, gain in gains.items()}
    deltas = [fmean(seed) for seed in zip(*gains.values(), strict=True)]
    return Confirmed(
        name, tree, metrics, deltas, cost(tree).parameters, cost(tree).multiply_adds, chosen
    )


TASKS = {"depth": "depth", "edges": "edges", "normals": "normals", "seg": "segmentation"}
NOISE = [-0.3, 0.0, 0.3]
CHOSEN = Tree.parse("depth+edges+normals+seg > depth+normals,edges+seg > depth+normals,edges,seg")


def affinity(
    names: Sequence[str],
    values: np.ndarray,
    *,
    chance: float = 0.01,
    measure: str = "rsa",
) -> Affinity:
    """Given values, [S, T, T], with intervals of 0.1 to both sides."""
    estimate = Estimate(values, values - 0.1, values + 0.1, np.full(values.shape, chance))
    return Affinity(measure, tuple(names), estimate)


def random_affinity(names: Sequence[str], stages: int, seed: int, measure: str) -> Affinity:
    """Symmetric in [-1, 1] with ones on the diagonal, half of it by chance; ``tag`` is small,
    directed and without intervals.
    """
    draw, shape = np.random.default_rng(seed), (stages, len(names), len(names))
    values, chance = draw.uniform(-1, 1, shape), draw.choice([0.01, 0.5], shape)
    if measure == "tag":
        nothing = np.full(shape, np.nan)
        return Affinity(measure, tuple(names), Estimate(values / 500, nothing, nothing, nothing))
    values, chance = ((part + part.swapaxes(1, 2)) / 2 for part in (values, chance))
    values[:, range(len(names)), range(len(names))] = 1
    estimate = Estimate(values, values - 0.1, values + 0.1, chance)
    return Affinity(measure, tuple(names), estimate)


def a_job() -> Findings:
    """Four dense tasks over three stages; the chosen network leads by more than the noise."""
    names = sorted(TASKS)
    shared, alone = Tree.share_all(names, 3), Tree.share_none(names, 3)
    level = {
        "single-task networks": (alone, 0.0),
        "share all": (shared, -1.0),
        str(CHOSEN): (CHOSEN, 3.0),
    }
    networks = [
        confirmed(name, tree, {t: [gain + n for n in NOISE] for t in names}, chosen=tree == CHOSEN)
        for name, (tree, gain) in level.items()
    ]
    return Findings(
        title="scenes",
        job_id="01JD3Y8Q4Z7M9K2W5T6R1VXNBC",
        tasks=tuple(task(name, TASKS[name]) for name in names),
        affinities=[
            affinity(names, np.stack([np.full((4, 4), 0.9 - 0.4 * stage) for stage in range(3)]))
        ],
        trials=[
            trial(0, shared, "complete", -0.8),
            trial(1, alone, "over_budget", 0.0),
            trial(2, CHOSEN, "complete", 2.7),
            trial(
                3,
                Tree.parse(
                    "depth+edges,normals+seg > depth,edges,normals+seg > depth,edges,normals,seg"
                ),
                "stopped",
                -4.0,
            ),
        ],
        confirmed=networks,
        budget={"parameters": cost(alone).parameters - 1},
        provenance={"spec": "sha256:9f2c", "seeds": "11, 12, 13"},
    )


def without(findings: Findings, **parts: object) -> Findings:
    """The same with other parts."""
    return replace(findings, **parts)


@st.composite
def findings(draw: st.DrawFn) -> Findings:
    """Trials of any outcome over any tasks; affinity or none; nothing confirmed."""
    first = draw(trees(max_tasks=4, max_stages=3))
    stages, names = len(first.branches), first.tasks
    same = [first, Tree.share_all(names, stages), Tree.share_none(names, stages)]
    drawn = [
        trial(
            number,
            draw(st.sampled_from(same)),
            draw(st.sampled_from(["complete", *OUTCOMES]) | st.just("complete")),
            draw(st.integers(-3, 3)) / 2,
        )
        for number in range(draw(st.integers(0, 8)))
    ]
    drawn = [replace(t, parameters=t.parameters + draw(st.integers(0, 2)) * 1000) for t in drawn]
    budget = draw(st.sampled_from([{}, {"parameters": cost(first).parameters}]))
    measured, seed = draw(st.sampled_from([[], ["rsa"], ["cka", "tag"]])), draw(st.integers(0, 99))
    # beartype draws the elements that it looks at, and Hypothesis allows no draws but its own
    state = random.getstate()
    affinities = [random_affinity(names, stages, seed, measure) for measure in measured]
    random.setstate(state)
    return Findings(
        title=draw(st.sampled_from(["a job", "<b>&'\"", "</script><script>alert(1)"])),
        job_id="01JD3Y8Q4Z7M9K2W5T6R1VXNBC",
        tasks=tuple(task(name, draw(st.sampled_from(sorted(KINDS)))) for name in names),
        affinities=affinities,
        trials=drawn,
        confirmed=[],
        budget=budget,
        provenance={},
    )
