"""A tree as a plotly figure, for pages that show nothing else."""

import plotly.graph_objects as go

from branchsearch.drawing.palette import INK, PAPER, QUIET, colours
from branchsearch.drawing.plan import Box, plan
from branchsearch.report.look import dressed
from branchsearch.report.words import plain, shortened
from branchsearch.tree import Tree


def tree_figure(tree: Tree) -> go.Figure:
    """The same drawing as ``svg`` makes, with who shares what under the pointer."""
    drawn = plan(tree)
    colour = colours(tree.tasks)
    figure = go.Figure()
    boxes = drawn.boxes
    figure.add_scatter(
        x=[box.x + box.width / 2 for box in boxes],
        y=[box.y + box.height / 2 for box in boxes],
        mode="markers+text",
        marker={"size": 22, "opacity": 0},
        text=[_written(box) for box in boxes],
        hovertext=[_about(box) for box in boxes],
        hoverinfo="text",
    )
    figure.add_scatter(
        x=[strand.x for strand in drawn.strands],
        y=[strand.y for strand in drawn.strands],
        mode="markers+text",
        marker={"size": 10, "color": [colour[strand.task] for strand in drawn.strands]},
        text=[f" {plain(shortened(strand.task, 32))}" for strand in drawn.strands],
        textposition="middle right",
        textfont={"size": 13 if len(tree.tasks) <= 20 else 10},
        hoverinfo="skip",
        cliponaxis=False,
    )
    dressed(figure, height=round(max(220, drawn.height + 20)))
    for stage, x in enumerate(drawn.columns):
        figure.add_annotation(
            x=x,
            y=18,
            text=f"stage {stage - 1}" if stage else "image",
            showarrow=False,
            font={"size": 12, "color": QUIET},
        )
    figure.update_layout(
        shapes=[
            *(
                {
                    "type": "path",
                    "path": strand.path,
                    "line": {"color": colour[strand.task], "width": drawn.thickness},
                    "layer": "below",
                }
                for strand in drawn.strands
            ),
            *(_shape(box, colour) for box in boxes),
        ],
        showlegend=False,
        margin={"l": 0, "r": 0, "t": 10, "b": 10},
    )
    room = 8 * min(32, max(map(len, tree.tasks))) + 20
    # one pixel per unit, whatever the width of the page: strands keep their thickness
    figure.update_xaxes(visible=False, range=[0, drawn.width + room], constrain="domain")
    figure.update_yaxes(visible=False, range=[drawn.height, 0], scaleanchor="x")
    return figure


def _shape(box: Box, colour: dict[str, str]) -> dict[str, object]:
    own = len(box.tasks) == 1 and box.stage is not None
    return {
        "type": "rect",
        "x0": round(box.x, 1),
        "x1": round(box.x + box.width, 1),
        "y0": round(box.y, 1),
        "y1": round(box.y + box.height, 1),
        "fillcolor": INK if box.stage is None else PAPER,
        "opacity": 1 if box.stage is None else 0.85,
        "line": {"color": colour[box.tasks[0]] if own else INK, "width": 1.5},
        "layer": "below",
    }


def _written(box: Box) -> str:
    return str(len(box.tasks)) if box.stage is not None and len(box.tasks) > 1 else ""


def _about(box: Box) -> str:
    what = "image" if box.stage is None else f"stage {box.stage}"
    return f"{what}: {plain(shortened(', '.join(box.tasks)))}"
