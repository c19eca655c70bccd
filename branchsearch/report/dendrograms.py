"""Which tasks are most alike at every stage, joined step by step into groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from scipy.cluster.hierarchy import dendrogram, leaves_list, linkage
from scipy.spatial.distance import squareform

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.measure import Estimate
from branchsearch.affinity.scale import scale_end
from branchsearch.drawing.palette import INK
from branchsearch.report.look import dressed
from branchsearch.report.words import plain, shortened


@dataclass(frozen=True, slots=True)
class Joints:
    """How one stage's tasks join, as it is drawn.

    Attributes:
        order: The T tasks from above: those that join early stand next to each other.
        corners: Shape [T - 1, 2, 4]: for every joint the affinities of its four corners, and their
            places; task number n of ``order`` is at place n.
    """

    order: tuple[str, ...]
    corners: np.ndarray


def joints(affinity: Affinity, stage: int) -> Joints:
    """Join the two most alike groups of tasks, again and again, by their pairs' mean affinity.

    This is average linkage of what is missing to the largest affinity there can be. Where a measure
    is not symmetric, a pair's affinity is the mean of both directions.

    Args:
        affinity: Of at least two tasks; its values at the stage are numbers.
        stage: From 0.
    """
    values, end = affinity.estimate.values[stage], scale_end(affinity)
    missing = end - (values + values.T) / 2
    np.fill_diagonal(missing, 0)
    # rounding may leave a hair below 0, which no distance may be
    joined = linkage(squareform(missing.clip(min=0), checks=False), method="average")
    drawn = dendrogram(joined, no_plot=True)
    places = (np.array(drawn["icoord"]) - 5) / 10  # SciPy puts leaves at 5, 15, 25, ...
    alike = end - np.array(drawn["dcoord"])
    order = tuple(affinity.tasks[leaf] for leaf in leaves_list(joined))
    return Joints(order, np.stack([alike, places], axis=1))


def common_order(affinity: Affinity) -> tuple[str, ...]:
    """The tasks as the mean over the stages joins them, so that groups stand together in maps."""
    if not can_join(affinity):
        return affinity.tasks
    mean = affinity.estimate.values.mean(axis=0, keepdims=True)
    return joints(
        Affinity(affinity.measure, affinity.tasks, Estimate(mean, mean, mean, mean)), 0
    ).order


def can_join(affinity: Affinity) -> bool:
    """Whether there is anything to join: two tasks, and a number for every pair."""
    return len(affinity.tasks) > 1 and bool(np.isfinite(affinity.estimate.values).all())


def dendrograms(affinity: Affinity) -> go.Figure:
    """One dendrogram per stage; a joint stands at the mean affinity between what it joins.

    Raises:
        ValueError: There is nothing to join, see ``can_join``.
    """
    if not can_join(affinity):
        raise ValueError(f"{affinity.measure} has no affinity for every two tasks")
    stages, tasks = len(affinity.estimate.values), len(affinity.tasks)
    across = min(stages, 4 if tasks <= 16 else 3)
    down = ceil(stages / across)
    figure = make_subplots(
        down,
        across,
        subplot_titles=[f"stage {stage}" for stage in range(stages)],
        horizontal_spacing=0.14 if across > 1 else 0,
        vertical_spacing=0.16 / down,
    )
    drawn = [joints(affinity, stage) for stage in range(stages)]
    for stage, made in enumerate(drawn):
        x, y = _line(made)
        cell = {"row": stage // across + 1, "col": stage % across + 1}
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            line={"color": INK, "width": 1.5 if tasks <= 16 else 1},
            hovertemplate="%{x:.3g}<extra>mean affinity</extra>",
            showlegend=False,
            **cell,
        )
    dressed(figure, height=80 + down * (60 + max(110, round(min(26, 14 + 80 / tasks) * tasks))))
    for stage, made in enumerate(drawn):
        row, column = stage // across + 1, stage % across + 1
        figure.update_yaxes(**_names(made.order), row=row, col=column)
    figure.update_xaxes(range=_range(drawn), nticks=5)
    figure.update_annotations(font_size=13)
    figure.update_layout(margin={"t": 56, "b": 30})
    return figure


def _line(made: Joints) -> tuple[list[float | None], list[float | None]]:
    """All joints of a stage as one line with gaps."""
    x: list[float | None] = []
    y: list[float | None] = []
    for alike, places in made.corners:
        x += [*np.round(alike, 5).tolist(), None]
        y += [*places.tolist(), None]
    return x, y


def _names(order: Sequence[str]) -> dict[str, object]:
    return {
        "tickvals": list(range(len(order))),
        "ticktext": [plain(shortened(name, 24)) for name in order],
        "range": [len(order) - 0.5, -0.5],
        "tickfont_size": 12 if len(order) <= 16 else 9,
        "showgrid": False,
        "ticks": "",
        "zeroline": False,
    }


def _range(drawn: Sequence[Joints]) -> list[float]:
    """The same for all stages: all joints, and a piece of the lines that lead to the first ones."""
    first = max(float(made.corners[:, 0].min(axis=1).max()) for made in drawn)
    last = min(float(made.corners[:, 0].min()) for made in drawn)
    span = first - last or abs(first) or 1
    return [first + 0.25 * span, last - 0.06 * span]
