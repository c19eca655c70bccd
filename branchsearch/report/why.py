"""Why a tree branches where it does: what is known for and against every branching point.

Two kinds of evidence stand beside each other. Affinity was measured before any tree was trained.
The effect is what trained trees show: an association, since trees that share a pair of tasks at a
stage differ in other ways as well; only the direct comparison changes one thing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import isfinite, isnan, sqrt
from statistics import fmean, variance
from typing import Any

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.scale import is_mutual
from branchsearch.drawing.leaves import legible
from branchsearch.report.affinity_maps import CHANCE
from branchsearch.report.findings import Findings, TrialResult
from branchsearch.report.front import front, gained
from branchsearch.report.verdict import chosen, told_apart
from branchsearch.tree import Tree


class NothingToExplain(LookupError):
    """The job has trained no tree to its end yet."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """The affinity of two tasks at a stage, by one measure.

    Attributes:
        measure: As in ``rsa``.
        suits: The task that sharing would suit so well; None where the measure has no direction.
        value: Affinity.
        low: Lower end of the 95 % interval; NaN where it is not known, as the two below.
        high: Upper end.
        chance: How often tasks that have nothing in common would be as far from 0.
    """

    measure: str
    suits: str | None
    value: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, slots=True)
class Effect:
    """Trained trees that share two tasks at a stage, against those that do not: an association.

    Attributes:
        difference: Mean Δ of those that share minus mean Δ of the others, in points of percent.
        error: Its standard error; None where a side has one tree only.
        sharing: How many trees share the two tasks there.
        parted: How many do not.
    """

    difference: float
    error: float | None
    sharing: int
    parted: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tasks that part at a branching point.

    Attributes:
        tasks: Their names.
        likeness: By every measure of the job, first its first; twice where one has directions.
        effect: None unless some complete trial shares them there and some other does not.
    """

    tasks: tuple[str, str]
    likeness: tuple[Likeness, ...]
    effect: Effect | None


@dataclass(frozen=True, slots=True)
class Direct:
    """The tree against the one in which its tasks stay together for this one stage more.

    Attributes:
        merged: That other tree.
        parted_deltas: Δ of the tree, percent, one number per training.
        merged_deltas: Δ of the other.
        test: Whether both are read on the test part by the confirmation; else on validation, from
            one trial each.
    """

    merged: Tree
    parted_deltas: tuple[float, ...]
    merged_deltas: tuple[float, ...]
    test: bool

    @property
    def gain(self) -> float:
        """What parting gained: mean Δ of the tree minus that of the other, in points."""
        return fmean(self.parted_deltas) - fmean(self.merged_deltas)

    @property
    def told_apart(self) -> bool:
        """Whether that is more than the noise between seeds, as far as those tell."""
        return told_apart(self.parted_deltas, self.merged_deltas)


@dataclass(frozen=True, slots=True)
class BranchingPoint:
    """Where tasks that shared everything so far go on in several branches.

    Attributes:
        stage: The first stage that they do not all share.
        branches: The tasks of each branch.
        pairs: Every two tasks of different branches, the most alike by the first measure first.
        direct: The comparisons with the tree that parts one stage later, if both were trained.
    """

    stage: int
    branches: tuple[tuple[str, ...], ...]
    pairs: tuple[Pair, ...]
    direct: tuple[Direct, ...]


def why(tree: Tree, findings: Findings) -> list[BranchingPoint]:
    """Every branching point of a tree with its evidence, from the input on."""
    return [
        BranchingPoint(
            stage, branches, _pairs(stage, branches, findings), _direct(tree, merged, findings)
        )
        for stage, branches, merged in branching_points(tree)
    ]


def branching_points(tree: Tree) -> Iterator[tuple[int, tuple[tuple[str, ...], ...], Tree]]:
    """Stage and branches of each branching point, and the tree in which they stay together there.

    >>> for stage, branches, merged in branching_points(Tree.parse("a+b+c > a+b,c > a,b,c")):
    ...     print(stage, branches, merged)
    1 (('a', 'b'), ('c',)) a+b+c > a+b+c > a,b,c
    2 (('a',), ('b',)) a+b+c > a+b,c > a+b,c
    """
    for stage in range(len(tree.branches)):
        parents = tree.parents(stage)
        for parent in sorted(set(parents)):
            children = [branch for branch, from_ in enumerate(parents) if from_ == parent]
            if len(children) > 1:
                members = tree.members(stage)
                row = [children[0] if b in children else b for b in tree.branches[stage]]
                rows = [*tree.branches[:stage], row, *tree.branches[stage + 1 :]]
                merged = Tree.from_labels(tree.tasks, rows)
                yield stage, tuple(members[branch] for branch in children), merged


def tree_to_explain(findings: Findings) -> Tree:
    """The chosen tree, else the best of the front.

    Raises:
        NothingToExplain: There is neither.
    """
    network, best = chosen(findings), front(findings)
    if network is not None:
        return network.tree
    if not best:
        raise NothingToExplain(f"job {findings.job_id} has trained no tree to its end yet")
    return max(best, key=gained).tree


def as_json(points: Sequence[BranchingPoint]) -> list[dict[str, Any]]:
    """Plain values; what is not known is None."""
    return [
        {
            "stage": point.stage,
            "branches": [list(branch) for branch in point.branches],
            "pairs": [
                {
                    "tasks": list(pair.tasks),
                    "affinities": [
                        {name: _known(value) for name, value in asdict(alike).items()}
                        for alike in pair.likeness
                    ],
                    "association": asdict(pair.effect) if pair.effect else None,
                }
                for pair in point.pairs
            ],
            "direct": [
                {
                    **asdict(direct),
                    "merged": str(direct.merged),
                    "gain": direct.gain,
                    "told_apart": direct.told_apart,
                }
                for direct in point.direct
            ],
        }
        for point in points
    ]


def as_rows(points: Sequence[BranchingPoint]) -> list[dict[str, Any]]:
    """One row per pair; the direct comparison stands in each row of its branching point."""
    return [
        {
            "stage": point.stage,
            "parting": " | ".join("+".join(branch) for branch in point.branches),
            "pair": ", ".join(pair.tasks),
            "affinity": "; ".join(in_words(alike, CHANCE) for alike in pair.likeness) or None,
            "shared_against_parted": _association(pair.effect),
            "parted_against_together": "; ".join(map(_compared, point.direct)) or None,
        }
        for point in points
        for pair in point.pairs
    ]


def _association(effect: Effect | None) -> str | None:
    if effect is None:
        return None
    error = "" if effect.error is None else f" ± {effect.error:.2f}"
    return f"{effect.difference:+.2f}{error} ({effect.sharing} against {effect.parted} trees)"


def _compared(direct: Direct) -> str:
    noise = "" if direct.told_apart or not direct.test else ", inside the noise"
    return f"{direct.gain:+.2f} ({'test' if direct.test else 'validation'}{noise})"


def _known(value: object) -> object:
    return None if isinstance(value, float) and isnan(value) else value


def in_words(alike: Likeness, chance: float) -> str:
    """An affinity with what is known of it, as in ``rsa 0.41 (0.35 to 0.47)``.

    Args:
        alike: The affinity.
        chance: How often chance may be as far from 0 before it is marked with a cross.
    """
    whom = f" for {legible(alike.suits)}" if alike.suits else ""
    sure = f" ({alike.low:.2g} to {alike.high:.2g})" if isfinite(alike.low + alike.high) else ""
    return f"{alike.measure}{whom} {alike.value:.2g}{sure}{' ×' if alike.chance > chance else ''}"


def _pairs(stage: int, branches: Sequence[Sequence[str]], findings: Findings) -> tuple[Pair, ...]:
    pairs = [
        Pair(
            (one, other),
            tuple(
                likeness
                for affinity in findings.affinities
                for likeness in _likeness(affinity, stage, one, other)
            ),
            _effect(stage, one, other, findings.trials),
        )
        for ours, theirs in combinations(branches, 2)
        for one in ours
        for other in theirs
    ]
    return tuple(sorted(pairs, key=lambda pair: [-alike.value for alike in pair.likeness[:1]]))


def _likeness(affinity: Affinity, stage: int, one: str, other: str) -> Iterator[Likeness]:
    found, tasks = affinity.estimate, affinity.tasks
    mutual = is_mutual(affinity)
    for suited, by in [(one, other)] if mutual else [(one, other), (other, one)]:
        at = stage, tasks.index(suited), tasks.index(by)
        parts = (found.values, found.low, found.high, found.chance)
        value, low, high, chance = (float(part[at]) for part in parts)
        yield Likeness(affinity.measure, None if mutual else suited, value, low, high, chance)


def _effect(stage: int, one: str, other: str, trials: Sequence[TrialResult]) -> Effect | None:
    sharing: list[float] = []
    parted: list[float] = []
    for trial in trials:
        if trial.outcome == "complete" and trial.delta is not None:
            row = dict(zip(trial.tree.tasks, trial.tree.branches[stage], strict=True))
            (sharing if row[one] == row[other] else parted).append(trial.delta)
    if not sharing or not parted:
        return None
    error = None
    if min(len(sharing), len(parted)) > 1:
        error = sqrt(variance(sharing) / len(sharing) + variance(parted) / len(parted))
    return Effect(fmean(sharing) - fmean(parted), error, len(sharing), len(parted))


def _direct(tree: Tree, merged: Tree, findings: Findings) -> tuple[Direct, ...]:
    # trees are compared with the same choices beside them
    complete = {
        (trial.tree, trial.choices): (gained(trial),)
        for trial in findings.trials
        if trial.outcome == "complete" and trial.delta is not None
    }
    # the first entry stands for the single-task networks, whose trainings were others
    confirmed = {
        (network.tree, network.choices): tuple(network.deltas) for network in findings.confirmed[1:]
    }
    found = []
    for deltas, test in ((complete, False), (confirmed, True)):
        both = [choices for one, choices in deltas if one == tree and (merged, choices) in deltas]
        if both:
            of_tree, of_merged = deltas[tree, both[0]], deltas[merged, both[0]]
            found.append(Direct(merged, of_tree, of_merged, test=test))
    return tuple(found)
