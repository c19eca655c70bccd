"""What Optuna Dashboard shows of a job beside its own plots: a note and a few figures.

They are saved into the study itself, cut into pieces, one transaction each. So they are few and
small, and one process writes them.
"""

import re
import warnings

import plotly.graph_objects as go
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna_dashboard import save_note, save_plotly_graph_object

from branchsearch.drawing.leaves import legible
from branchsearch.drawing.text import text
from branchsearch.report import verdict
from branchsearch.report.affinity_maps import affinity_maps, task_order
from branchsearch.report.findings import Confirmed, Findings
from branchsearch.report.front import front, gained
from branchsearch.report.pareto import pareto
from branchsearch.report.tree_figure import tree_figure
from branchsearch.report.words import amount, percent, shortened, signed
from branchsearch.tree import Tree

_TRIALS = 300  # beside the front; keeps the figure below 200 kB
_NAMED = 12  # tasks up to which the heat maps have room for names
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$-])")

_HOW_TO_READ = """\
Each line of the drawing is a task on its way from the image to its head; a box is one copy of a \
stage with the number of tasks that share it. Δ is the mean gain over the tasks in percent of the \
single-task networks' metrics; ± is the standard deviation between seeds. Confirmed networks are \
read on the test part, trials on validation. *Best Trial* marks of this dashboard know no budget: \
the front within the budget is in the figure `pareto`. Trials stopped early are never on it.
"""


def publish(study: Study, findings: Findings) -> None:
    """Save a note and the figures ``affinity``, ``pareto`` and ``tree``; a repeat replaces them."""
    figures: dict[str, go.Figure] = {}
    if findings.affinities:
        maps = affinity_maps(findings.affinities[0], task_order(findings))
        if len(findings.tasks) > _NAMED:
            maps.update_xaxes(showticklabels=False).update_yaxes(showticklabels=False)
            maps.update_traces(customdata=None, hovertemplate=None)  # the report has the intervals
        measure = findings.affinities[0].measure
        figures["affinity"] = _titled(maps, f"Affinity of the tasks at each stage ({measure})")
    if findings.trials or findings.confirmed:
        figures["pareto"] = _titled(pareto(findings, most=_TRIALS), "What accuracy costs")
    if shown := _shown(findings):
        figures["tree"] = _titled(tree_figure(shown[1]), shown[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        save_note(study, note(findings))
        for name, figure in figures.items():
            save_plotly_graph_object(study, figure, graph_object_id=name)


def note(findings: Findings) -> str:
    """The note, in Markdown."""
    parts = [f"# {_escaped(findings.title)}"]
    if shown := _shown(findings):
        parts += [f"## {shown[0]}", f"```text\n{text(shown[1])}\n```"]
    parts.append(_escaped(verdict.verdict(findings)))
    if findings.confirmed:
        parts += ["## Confirmed networks", _table(findings)]
    return "\n\n".join([*parts, "## How to read this", _HOW_TO_READ])


def _shown(findings: Findings) -> tuple[str, Tree] | None:
    """The tree to show, and what it is."""
    if network := verdict.chosen(findings):
        return "The chosen tree", network.tree
    if best := front(findings):
        trial = max(best, key=gained)
        gain = f"Δ {signed(gained(trial))} % on validation"
        return f"The front's highest tree so far: trial {trial.number}, {gain}", trial.tree
    return None


def _table(findings: Findings) -> str:
    def row(network: Confirmed) -> str:
        worse = ", ".join(map(_escaped, verdict.negative_transfer(findings, network)))
        name = _escaped(shortened(network.name, 80))
        return _row(
            f"**{name}** (chosen)" if network.chosen else name,
            percent(network.deltas),
            str(len(network.deltas)),
            amount(network.parameters),
            amount(network.multiply_adds),
            "" if network is verdict.reference(findings) else worse or "none",
        )

    heads = ("network", "Δ, test", "seeds", "parameters", "multiply-adds", "worse than alone")
    rule = _row("---", *["---:"] * 4, "---")
    return "\n".join([_row(*heads), rule, *map(row, findings.confirmed)])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(words: str) -> str:
    return _MARKUP.sub(r"\\\1", legible(words))


def _titled(figure: go.Figure, title: str) -> go.Figure:
    """A figure with its title, as high as the dashboard has room: half of what a page has."""
    figure.update_layout(
        title={"text": title, "x": 0.01, "y": 0.99, "yanchor": "top", "font": {"size": 15}},
        legend={"y": -0.2, "yanchor": "top"},
        margin_t=60,
        height=None,
    )
    return figure
