"""Networks side by side, as a figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from branchsearch.drawing.palette import colours
from branchsearch.files import write_whole

#: What is drawn beside the metrics: the panel's title, and where ``Compared.as_json`` has it.
_COSTS: Mapping[str, tuple[str, ...]] = {
    "parameters": ("parameters",),
    "multiply-adds": ("multiply_adds",),
    "seconds, 1 image": ("seconds", "1"),
    "seconds, 32 images": ("seconds", "32"),
    "MiB, 32 images": ("mib", "32"),
}
_COLUMNS = 4


def comparison_figure(compared: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401  # plotly's
    """A panel per metric and cost, a bar per network; whiskers are spreads over seeds.

    Args:
        compared: As ``branchsearch.jobs.comparing.Compared.as_json`` gives them.
    """
    tasks = sorted({task for one in compared for task in one["metrics"]})
    panels = [*tasks, "Δ, percent", *_COSTS]
    rows = -(-len(panels) // _COLUMNS)
    figure = make_subplots(rows=rows, cols=_COLUMNS, subplot_titles=panels)
    names = [one["name"] for one in compared]
    places = range(1, len(names) + 1)
    for number, panel in enumerate(panels):
        means, spreads = zip(*(_value(one, panel, tasks) for one in compared), strict=True)
        figure.add_trace(
            go.Bar(
                x=list(places),
                y=means,
                error_y={"type": "data", "array": spreads, "visible": any(spreads)},
                hovertext=names,
                marker_color=list(colours([str(place) for place in places]).values()),
                showlegend=False,
            ),
            row=number // _COLUMNS + 1,
            col=number % _COLUMNS + 1,
        )
    legend = "   ".join(f"{place}: {name}" for place, name in zip(places, names, strict=True))
    figure.update_layout(title=legend, template="plotly_white", height=280 * rows + 80)
    figure.update_xaxes(dtick=1)
    return figure


def write_comparison(compared: Sequence[Mapping[str, Any]], to: Path) -> None:
    """Write the figure as a page that needs no network."""
    write_whole(to, comparison_figure(compared).to_html(include_plotlyjs=True))


def _value(
    one: Mapping[str, Any], panel: str, tasks: Sequence[str]
) -> tuple[float | None, float | None]:
    if panel in _COSTS and panel not in tasks:
        found: Any = one
        for key in _COSTS[panel]:
            found = found[key]
        return found, None
    measured = one["metrics"].get(panel) if panel in tasks else one["delta"]
    return (None, None) if measured is None else (measured["mean"], measured["spread"])
