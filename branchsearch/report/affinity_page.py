"""Affinities alone as a folder: files, a page of figures that opens offline, and a table."""

import csv
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from branchsearch.affinity.affinity import Affinity
from branchsearch.drawing.leaves import legible
from branchsearch.report.affinity_maps import CHANCE, affinity_maps
from branchsearch.report.affinity_table import entries, stages
from branchsearch.report.dendrograms import can_join, common_order, dendrograms

#: What is beside the affinities themselves.
PAGE, TABLE = "affinity.html", "affinity.csv"


def write_page(affinities: Sequence[Affinity], title: str, folder: Path) -> None:
    """Write the figures as ``affinity.html`` and every entry as ``affinity.csv``.

    Raises:
        OSError: With the path, when they cannot be written.
    """
    (folder / PAGE).write_text(page(affinities, title), encoding="utf-8")
    (folder / TABLE).write_text(table(affinities), encoding="utf-8")


def page(affinities: Sequence[Affinity], title: str) -> str:
    """Heat maps and dendrograms of at least one measure; tasks stand as ``common_order`` says.

    Args:
        affinities: Of the same tasks.
        title: What was measured.
    """
    figures = {}
    for number, affinity in enumerate(affinities):
        figures[f"affinity-{number}"] = affinity_maps(affinity, common_order(affinity))
        if can_join(affinity):
            figures[f"dendrogram-{number}"] = dendrograms(affinity)
    return _template().render(
        title=title,
        tasks=affinities[0].tasks,
        affinities=affinities,
        stages=stages,
        chance=CHANCE,
        # plotly writes <, > and / as \u003c and so on: no name can close the element
        figures={name: Markup(figure.to_json()) for name, figure in figures.items()},
        plotly=Markup(get_plotlyjs()),  # a library's own source
    )


def table(affinities: Sequence[Affinity]) -> str:
    """Every entry as CSV, see ``branchsearch.report.affinity_table.entries``."""
    text = io.StringIO()
    rows = csv.DictWriter(
        text, ["measure", "stage", "task", "with", "affinity", "low", "high", "chance"]
    )
    rows.writeheader()
    rows.writerows(entries(affinities))
    return text.getvalue()


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("branchsearch.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["legible"] = legible
    return environment.get_template("affinity.html.jinja")
