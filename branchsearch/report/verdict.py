"""What may be said about confirmed networks, and what the noise between seeds forbids.

Two networks are told apart when the intervals mean ± spread of their seeds do not touch. With one
seed there is no spread, and then nothing is told apart.
"""

from collections.abc import Sequence

from branchsearch.report.findings import Confirmed, Findings, mean_and_spread
from branchsearch.report.words import shortened


def reference(findings: Findings) -> Confirmed | None:
    """The single-task networks; None before anything is confirmed."""
    return findings.confirmed[0] if findings.confirmed else None


def chosen(findings: Findings) -> Confirmed | None:
    """The network that is exported; None before there is one."""
    return next((network for network in findings.confirmed if network.chosen), None)


def told_apart(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether the intervals mean ± spread of two networks' seeds do not touch."""
    if len(ours) < 2 or len(theirs) < 2:
        return False
    (mean, spread), (other, other_spread) = mean_and_spread(ours), mean_and_spread(theirs)
    return abs(mean - other) > spread + other_spread


def negative_transfer(findings: Findings, network: Confirmed) -> tuple[str, ...]:
    """The tasks that are worse than their single-task networks by more than the noise."""
    single = reference(findings)
    if single is None or single is network:
        return ()
    return tuple(
        task.name
        for task in findings.tasks
        if told_apart(network.metrics[task.name], single.metrics[task.name])
        and task.direction.sign * _lead(network.metrics[task.name], single.metrics[task.name]) < 0
    )


def rivals(findings: Findings, network: Confirmed) -> tuple[Confirmed, ...]:
    """The other confirmed networks whose Δ the seeds do not tell from that of this one."""
    return tuple(
        other
        for other in findings.confirmed
        if other is not network and not told_apart(network.deltas, other.deltas)
    )


def superiors(findings: Findings, network: Confirmed) -> tuple[Confirmed, ...]:
    """The other confirmed networks whose Δ is higher by more than the noise."""
    return tuple(
        other
        for other in findings.confirmed
        if other is not network
        and told_apart(network.deltas, other.deltas)
        and _lead(other.deltas, network.deltas) > 0
    )


def verdict(findings: Findings) -> str:
    """In sentences: what the seeds say about the chosen network's Δ, and no more than that."""
    network = chosen(findings)
    if network is None:
        return "No network has been chosen yet."
    if len(findings.confirmed) == 1:
        return "No other network was confirmed to compare it with."
    seeds = min(len(other.deltas) for other in findings.confirmed)
    if seeds < 2:
        return (
            "At least one network was trained with one seed only, so the noise between trainings "
            "is not known there and no winner can be named."
        )
    sentences = []
    if better := superiors(findings, network):
        sentences.append(f"Δ is higher, by more than the noise, for {_names(better)}.")
    if near := rivals(findings, network):
        sentences.append(
            f"Its Δ interval overlaps that of {_names(near)}: {seeds} seeds do not tell which is "
            "better."
        )
    if not sentences:
        others = len(findings.confirmed) - 1
        sentences.append(
            "Its Δ interval lies above that of the other network confirmed."
            if others == 1
            else f"Its Δ interval lies above those of all {others} other networks confirmed."
        )
    return " ".join(sentences)


def _lead(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return mean_and_spread(ours)[0] - mean_and_spread(theirs)[0]


def _names(networks: Sequence[Confirmed], most: int = 3) -> str:
    named = [shortened(network.name, 90) for network in networks[:most]]
    if len(networks) > most:
        named.append(f"{len(networks) - most} more")
    if len(named) < 3:
        return " and ".join(named)
    return "; ".join([*named[:-1], f"and {named[-1]}"])  # trees have commas of their own
