"""The trials that no other beats in both Δ and size."""

from branchsearch.report.findings import Findings, TrialResult
from branchsearch.space.cost import Cost, fits


def feasible(findings: Findings, trial: TrialResult) -> bool:
    """Whether a trial was trained to its end on a network within the budget."""
    cost = Cost(trial.parameters, trial.multiply_adds)
    return trial.outcome == "complete" and trial.delta is not None and fits(cost, findings.budget)


def front(findings: Findings) -> list[TrialResult]:
    """The Pareto front of Δ (more is better) against parameters (fewer are), smallest first.

    Only feasible trials count: one that was stopped early might have become anything. Equal ones
    are all on it.
    """
    candidates = sorted(
        (trial for trial in findings.trials if feasible(findings, trial)),
        key=lambda trial: (trial.parameters, -gained(trial), trial.number),
    )
    kept: list[TrialResult] = []
    for trial in candidates:
        best = kept[-1] if kept else None
        twin = best and (best.parameters, best.delta) == (trial.parameters, trial.delta)
        if best is None or gained(trial) > gained(best) or twin:
            kept.append(trial)
    return kept


def gained(trial: TrialResult) -> float:
    """The Δ of a trial that has one, in percent."""
    assert trial.delta is not None
    return trial.delta
