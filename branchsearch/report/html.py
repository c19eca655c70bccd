"""The report of one job as one HTML file that opens anywhere, also offline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.scale import is_known, others
from branchsearch.drawing.leaves import legible
from branchsearch.drawing.svg import svg
from branchsearch.files import write_whole
from branchsearch.report import verdict, words
from branchsearch.report.affinity_maps import CHANCE, affinity_maps, doubtful, task_order
from branchsearch.report.curves import learning_curves
from branchsearch.report.dendrograms import can_join, dendrograms
from branchsearch.report.findings import Confirmed, Findings, TrialResult, mean_and_spread
from branchsearch.report.front import front, gained
from branchsearch.report.pareto import pareto
from branchsearch.report.why import in_words, why
from branchsearch.search.tuned import as_text
from branchsearch.tree import Tree

_MANY = 12  # tasks above which a drawing takes the page's whole width


@dataclass(frozen=True, slots=True)
class _Drawing:
    name: str
    facts: str
    picture: Markup


def write_report(findings: Findings, to: Path) -> None:
    """Write the report; what was at ``to`` before stays until the new one is whole.

    What is missing (no affinity, nothing confirmed, every trial failed) is said in words. Nothing
    is called best that the noise between seeds does not tell apart.

    Raises:
        OSError: With the path, when it cannot be written.
    """
    write_whole(to, page(findings))


def page(findings: Findings) -> str:
    """The report as text."""
    single, chosen = verdict.reference(findings), verdict.chosen(findings)
    return _template().render(
        findings=findings,
        many=len(findings.tasks) > _MANY,
        single=single,
        chosen=chosen,
        picture=Markup(svg(chosen.tree)) if chosen else None,  # svg escapes
        share=words.share,
        measured=mean_and_spread,
        verdict=verdict.verdict(findings),
        worse=verdict.negative_transfer(findings, chosen) if chosen else (),
        confirmed=[(n, verdict.negative_transfer(findings, n)) for n in findings.confirmed],
        drawings=_drawings(findings, chosen),
        points=why(chosen.tree, findings) if chosen else (),
        chance=CHANCE,
        doubts=[_doubts(affinity) for affinity in findings.affinities],
        counted=_counted(findings.trials),
        on_front={trial.number for trial in front(findings)},
        figures=_figures(findings),
        plotly=Markup(get_plotlyjs()),  # a library's own source
        number=_number,
        small=_small,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("branchsearch.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., object]] = {
        "amount": words.amount,
        "signed": words.signed,
        "outcome": words.outcome,
        "metric": words.metric,
        "choices": as_text,
        "legible": legible,
        "shortened": words.shortened,
        "likeness": in_words,
    }
    environment.filters.update(filters)
    return environment.get_template("report.html.jinja")


def _drawings(findings: Findings, chosen: Confirmed | None) -> list[_Drawing]:
    """The best trees of the front, but for the one that stands at the top already."""
    shown: set[Tree] = {chosen.tree} if chosen else set()
    drawings: list[_Drawing] = []
    most = 2 if len(findings.tasks) > _MANY else 4
    for trial in sorted(front(findings), key=gained, reverse=True):
        if trial.tree not in shown and len(drawings) < most:
            shown.add(trial.tree)
            facts = (
                f"Δ {words.signed(gained(trial))} %, {words.amount(trial.parameters)} parameters"
            )
            if trial.choices:
                facts += f", {as_text(trial.choices)}"
            picture = Markup(svg(trial.tree))  # svg escapes
            drawings.append(_Drawing(f"Trial {trial.number}", facts, picture))
    return drawings


def _figures(findings: Findings) -> dict[str, Markup]:
    """Every figure that has something to show, as JSON that may stand in a script element."""
    made: dict[str, go.Figure] = {}
    for number, affinity in enumerate(findings.affinities):
        made[f"affinity-{number}"] = affinity_maps(affinity, task_order(findings))
        if can_join(affinity):
            made[f"dendrogram-{number}"] = dendrograms(affinity)
    if findings.confirmed or any(trial.delta is not None for trial in findings.trials):
        made["pareto"] = pareto(findings)
    if any(t.curve for t in findings.trials if t.outcome in ("complete", "stopped")):
        made["curves"] = learning_curves(findings)
    # plotly writes <, > and / as \u003c and so on: no name can close the element
    return {name: Markup(figure.to_json()) for name, figure in made.items()}


def _doubts(affinity: Affinity) -> str:
    """How much of an affinity chance may have given, as in ``3 of 18``; empty where unknown."""
    if not is_known(affinity, affinity.estimate.chance):
        return ""
    entries = len(affinity.estimate.values) * np.count_nonzero(others(affinity))
    return f"{np.count_nonzero(doubtful(affinity))} of {entries}"


def _counted(trials: Sequence[TrialResult]) -> str:
    """How the trials ended, as in ``9 complete, 3 stopped early``."""
    outcomes = [trial.outcome for trial in trials]
    counts = {outcome: outcomes.count(outcome) for outcome in dict.fromkeys(sorted(outcomes))}
    return ", ".join(f"{count} {words.outcome(outcome)}" for outcome, count in counts.items())


def _number(value: float) -> str:
    return f"{value:#.4g}".rstrip(".")


def _small(spread: float) -> str:
    return f"{spread:.2g}"
