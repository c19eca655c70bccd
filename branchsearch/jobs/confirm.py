"""Which networks are trained fully in the end, and which of them is handed out.

The choice is made on the validation part; the test part only says how good it was. Otherwise the
best of several readings would be reported as if there had been one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from branchsearch.report.findings import Findings, TrialResult
from branchsearch.report.front import feasible, front, gained
from branchsearch.search.candidate import Candidate
from branchsearch.search.tuned import Choices, as_text
from branchsearch.space.cost import Cost
from branchsearch.task import Task
from branchsearch.train.scores import delta
from branchsearch.tree import Tree

SINGLE_TASK = "single-task networks"
SHARE_ALL = "share all"

#: One training's numbers: each task's metric.
Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Repeats:
    """A network trained with several seeds.

    Attributes:
        name: What the report calls it.
        tree: Its tree; sharing none for the single-task networks together.
        validation: Each task's metric, one mapping per seed.
        test: The same on the test part.
        cost: Of all that it takes to predict every task.
        candidate: Whether it may be handed out: a tree of the space within the budget.
        choices: What was tuned beside the tree; empty for the job's own.
    """

    name: str
    tree: Tree
    validation: Sequence[Metrics]
    test: Sequence[Metrics]
    cost: Cost
    candidate: bool
    choices: Choices = ()


def best_candidates(
    findings: Findings,
    how_many: int,
    *,
    but: Candidate | None = None,
    worth: Mapping[Tree, float] | None = None,
) -> list[Candidate]:
    """The best trees of the front of Δ and parameters; where it is short, the next best ones.

    Each with what was tuned beside it; a tree comes once, with the best of its choices.

    Args:
        findings: With the trials.
        how_many: Fewer where fewer were trained to their end.
        but: One to pass over.
        worth: What trees are expected to gain, which chance has less of a part in than in what
            one training of each has given; None where nobody knows better than that.
    """

    def worthy(trial: TrialResult) -> float:
        return gained(trial) if worth is None else worth[trial.tree]

    by_gain = sorted(front(findings), key=worthy, reverse=True)
    complete = [trial for trial in findings.trials if feasible(findings, trial)]
    by_gain += sorted(complete, key=worthy, reverse=True)
    best: dict[Tree, Candidate] = {}
    for trial in by_gain:
        candidate = Candidate(trial.tree, trial.choices)
        if candidate != but:
            best.setdefault(trial.tree, candidate)
    return list(best.values())[:how_many]


def named(candidate: Candidate) -> str:
    """What a report calls a network: its tree, and what was chosen beside it."""
    if not candidate.choices:
        return str(candidate.tree)
    return f"{candidate.tree} with {as_text(candidate.choices)}"


def choose(tasks: Sequence[Task], networks: Sequence[Repeats]) -> tuple[int, int]:
    """The candidate with the best mean gain on validation, and the best of its seeds.

    Args:
        tasks: What is predicted.
        networks: The first are the single-task networks, the reference.

    Returns:
        Positions: of the network, and of its seed.
    """
    reference = means(networks[0].validation)
    gains = [[delta(tasks, seed, reference) for seed in n.validation] for n in networks]
    candidates = [number for number, network in enumerate(networks) if network.candidate]
    chosen = max(candidates, key=lambda number: fmean(gains[number]))
    return chosen, gains[chosen].index(max(gains[chosen]))


def as_json(
    tasks: Sequence[Task], networks: Sequence[Repeats], chosen: int
) -> list[dict[str, Any]]:
    """What is kept of the confirmation, and what reports are made of."""
    reference = means(networks[0].test)
    on_validation = means(networks[0].validation)
    return [
        {
            "name": network.name,
            "tree": str(network.tree),
            "choices": dict(network.choices),
            "test": {task.name: [seed[task.name] for seed in network.test] for task in tasks},
            "deltas": [delta(tasks, seed, reference) for seed in network.test],
            "validation_deltas": [delta(tasks, seed, on_validation) for seed in network.validation],
            "parameters": network.cost.parameters,
            "multiply_adds": network.cost.multiply_adds,
            "chosen": number == chosen,
        }
        for number, network in enumerate(networks)
    ]


def means(seeds: Sequence[Metrics]) -> dict[str, float]:
    """Each task's metric, mean over the seeds."""
    return {task: fmean(seed[task] for seed in seeds) for task in seeds[0]}
