"""How alike the tasks are at every stage, as heat maps on one scale."""

from collections.abc import Sequence
from math import ceil, log10
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.scale import is_known, is_mutual, others, scale_end
from branchsearch.drawing.leaves import leaves
from branchsearch.report.findings import Findings
from branchsearch.report.front import front, gained
from branchsearch.report.look import dressed
from branchsearch.report.verdict import chosen
from branchsearch.report.words import plain, shortened

#: Blue where tasks agree, orange where they disagree: told apart with every colour blindness.
_SCALE = [[0, "#b35806"], [0.25, "#f3b562"], [0.5, "#f7f7f7"], [0.75, "#9cc7e2"], [1, "#0b5c94"]]
_WRITTEN = 8  # tasks up to which the values stand in the cells

#: An affinity that chance gives more often than this is marked.
CHANCE = 0.05


def affinity_maps(affinity: Affinity, order: Sequence[str]) -> go.Figure:
    """One map per stage. A cross marks what chance may have given; the pointer shows intervals.

    Args:
        affinity: Of at least one stage.
        order: Its tasks, as rows and columns list them.
    """
    stages, few = len(affinity.estimate.values), len(order) <= _WRITTEN
    across = min(stages, 4 if few else 3 if len(order) <= 16 else 2)
    down = ceil(stages / across)
    figure = make_subplots(
        down,
        across,
        subplot_titles=[f"stage {stage}" for stage in range(stages)],
        horizontal_spacing=0.03,
        vertical_spacing=0.2 / down,
    )
    for stage in range(stages):
        figure.add_heatmap(
            **_map(affinity, order, stage), row=stage // across + 1, col=stage % across + 1
        )
    dressed(figure, height=70 + down * (60 + round(780 / max(across, 2))))
    _label_axes(figure, len(order), stages, across)
    figure.update_annotations(font_size=13)
    figure.update_layout(coloraxis=_colours(affinity), margin={"t": 36, "b": 40})
    return figure


def doubtful(affinity: Affinity) -> np.ndarray:
    """Which entries chance may have given, [S, T, T]; none where that is not known."""
    # what is not known is NaN, and that is not above
    marks: np.ndarray = (affinity.estimate.chance > CHANCE) & others(affinity)
    return marks


def task_order(findings: Findings) -> tuple[str, ...]:
    """The tasks as the chosen tree is drawn, else the best trial's, else as they are sorted."""
    network, best = chosen(findings), front(findings)
    if network is not None:
        return leaves(network.tree)
    if best:
        return leaves(max(best, key=gained).tree)
    return tuple(task.name for task in findings.tasks)


def _map(affinity: Affinity, order: Sequence[str], stage: int) -> dict[str, Any]:
    """One stage as plotly's heat map takes it."""
    places = [affinity.tasks.index(name) for name in order]
    names = [plain(shortened(name, 24)) for name in order]
    digits = max(2, 2 - round(log10(scale_end(affinity))))
    values, low, high, chance, marks = (
        part[stage][np.ix_(places, places)]
        for part in (
            affinity.estimate.values,
            affinity.estimate.low,
            affinity.estimate.high,
            affinity.estimate.chance,
            doubtful(affinity),
        )
    )
    few = len(order) <= _WRITTEN
    written = np.where(marks, "<br>×" if few else "×", "")
    gap = 1 if len(order) <= 20 else 0
    return {
        "z": values.round(digits + 1).tolist(),
        "x": names,
        "y": names,
        "customdata": np.stack([low, high, chance], axis=-1).round(digits + 1).tolist(),
        "text": written.tolist(),
        "texttemplate": f"%{{z:.{digits}f}}%{{text}}" if few else "%{text}",
        "textfont": {"size": 12 if few else max(6, min(12, 300 // len(order)))},
        "hovertemplate": _hover(affinity, stage, digits),
        "coloraxis": "coloraxis",
        "xgap": gap,
        "ygap": gap,
    }


def _hover(affinity: Affinity, stage: int, digits: int) -> str:
    between = "and" if is_mutual(affinity) else "with"  # what sharing with x is to y
    lines = [f"%{{y}} {between} %{{x}}: %{{z:.{digits}f}}"]
    if is_known(affinity, affinity.estimate.low):
        lines.append(f"95 %: %{{customdata[0]:.{digits}f}} to %{{customdata[1]:.{digits}f}}")
    if is_known(affinity, affinity.estimate.chance):
        lines.append("by chance: %{customdata[2]:.3f}")
    return f"{'<br>'.join(lines)}<extra>stage {stage}</extra>"


def _label_axes(figure: go.Figure, tasks: int, stages: int, across: int) -> None:
    size = 12 if tasks <= 12 else max(6, round(240 / tasks))
    every = {"type": "category", "showgrid": False, "ticks": "", "tickfont_size": size, "dtick": 1}
    figure.update_xaxes(**every, tickangle=-90 if tasks > 5 else None, constrain="domain")
    figure.update_yaxes(**every, autorange="reversed", constrain="domain", scaleratio=1)
    for number in range(1, stages + 1):
        figure.update_yaxes(
            scaleanchor=f"x{number}" if number > 1 else "x",
            showticklabels=number % across == 1 or across == 1,
            row=(number - 1) // across + 1,
            col=(number - 1) % across + 1,
        )


def _colours(affinity: Affinity) -> dict[str, Any]:
    end = scale_end(affinity)
    return {
        "colorscale": _SCALE,
        "cmin": -end,
        "cmax": end,
        "colorbar": {
            "title": {"text": "affinity", "side": "top"},
            "thickness": 10,
            "outlinewidth": 0,
            "tickvals": [end * part for part in (-1, -0.5, 0, 0.5, 1)],
            "tickformat": None if end == 1 else ".1e",
            "lenmode": "pixels",
            "len": 240,
            "y": 1,
            "yanchor": "top",
        },
    }
