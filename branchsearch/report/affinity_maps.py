"""How alike the tasks are at every stage, as one row of heat maps on one scale."""

from math import ceil

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from branchsearch.drawing.leaves import leaves
from branchsearch.report.findings import Findings
from branchsearch.report.front import front, gained
from branchsearch.report.look import dressed
from branchsearch.report.verdict import chosen
from branchsearch.report.words import plain, shortened

#: Blue where tasks agree, orange where they disagree: told apart with every colour blindness.
_SCALE = [[0, "#b35806"], [0.25, "#f3b562"], [0.5, "#f7f7f7"], [0.75, "#9cc7e2"], [1, "#0b5c94"]]
_WRITTEN = 8  # tasks up to which the values stand in the cells


def affinity_maps(findings: Findings) -> go.Figure:
    """One map per stage; tasks stand in the order of the chosen tree, so that its branches show.

    Raises:
        ValueError: No affinity was measured.
    """
    stages = len(findings.affinity)
    if not findings.affinity.size:
        raise ValueError("no affinity was measured")
    order = task_order(findings)
    places = [[task.name for task in findings.tasks].index(name) for name in order]
    names = [plain(shortened(name, 24)) for name in order]
    few = len(order) <= _WRITTEN
    across = min(stages, 4 if few else 3 if len(order) <= 16 else 2)
    down = ceil(stages / across)
    figure = make_subplots(
        down,
        across,
        subplot_titles=[f"stage {stage}" for stage in range(stages)],
        horizontal_spacing=0.03,
        vertical_spacing=0.2 / down,
    )
    gap = 1 if len(order) <= 20 else 0
    for stage in range(stages):
        values = findings.affinity[stage][places][:, places].round(3).tolist()
        figure.add_heatmap(
            z=values,
            x=names,
            y=names,
            coloraxis="coloraxis",
            xgap=gap,
            ygap=gap,
            texttemplate="%{z:.2f}" if few else None,
            textfont={"size": 12},
            hovertemplate="%{y} and %{x}: %{z:.2f}" + f"<extra>stage {stage}</extra>",
            row=stage // across + 1,
            col=stage % across + 1,
        )
    dressed(figure, height=70 + down * (60 + round(780 / max(across, 2))))
    size = 12 if len(order) <= 12 else max(6, round(240 / len(order)))
    every = {"type": "category", "showgrid": False, "ticks": "", "tickfont_size": size, "dtick": 1}
    figure.update_xaxes(**every, tickangle=-90 if len(order) > 5 else None, constrain="domain")
    figure.update_yaxes(**every, autorange="reversed", constrain="domain", scaleratio=1)
    for number in range(1, stages + 1):
        figure.update_yaxes(
            scaleanchor=f"x{number}" if number > 1 else "x",
            showticklabels=number % across == 1 or across == 1,
            row=(number - 1) // across + 1,
            col=(number - 1) % across + 1,
        )
    figure.update_annotations(font_size=13)
    figure.update_layout(
        coloraxis={
            "colorscale": _SCALE,
            "cmin": -1,
            "cmax": 1,
            "colorbar": {
                "title": {"text": "affinity", "side": "top"},
                "thickness": 10,
                "outlinewidth": 0,
                "tickvals": [-1, -0.5, 0, 0.5, 1],
                "lenmode": "pixels",
                "len": 240,
                "y": 1,
                "yanchor": "top",
            },
        },
        margin={"t": 36, "b": 40},
    )
    return figure


def task_order(findings: Findings) -> tuple[str, ...]:
    """The tasks as the chosen tree is drawn, else the best trial's, else as they are sorted."""
    network, best = chosen(findings), front(findings)
    if network is not None:
        return leaves(network.tree)
    if best:
        return leaves(max(best, key=gained).tree)
    return tuple(task.name for task in findings.tasks)
