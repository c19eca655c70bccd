"""How every figure looks: quiet axes, one typeface, colour only where it means something."""

from typing import Any

import plotly.graph_objects as go

from branchsearch.drawing.palette import INK, PAPER, QUIET

ACCENT = "#0072b2"
WARM = "#d55e00"
DIM = "#b4bcc5"
GRID = "#e8ebee"
FONT = "system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, DejaVu Sans Mono, monospace"

_AXIS: dict[str, Any] = {
    "gridcolor": GRID,
    "linecolor": DIM,
    "zeroline": False,
    "ticks": "outside",
    "tickcolor": DIM,
    "ticklen": 4,
    "tickfont": {"color": QUIET, "size": 12},
    "title": {"font": {"color": INK, "size": 13}, "standoff": 10},
    "automargin": True,
}


def dressed(figure: go.Figure, *, height: int) -> go.Figure:
    """A figure in the house's look, ``height`` pixels high and as wide as its place."""
    figure.update_layout(
        template="none",
        height=height,
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        margin={"l": 64, "r": 24, "t": 64, "b": 56},
        hoverlabel={
            "bgcolor": PAPER,
            "bordercolor": DIM,
            "align": "left",
            "font": {"family": MONO, "size": 12, "color": INK},
        },
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "font": {"size": 12}},
        hovermode="closest",
    )
    figure.update_xaxes(**_AXIS)
    figure.update_yaxes(**_AXIS)
    return figure
