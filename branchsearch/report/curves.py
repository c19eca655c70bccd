"""How Δ grew while the trials were trained."""

from collections.abc import Sequence

import plotly.graph_objects as go

from branchsearch.drawing.palette import INK
from branchsearch.report.findings import Findings, TrialResult
from branchsearch.report.look import ACCENT, DIM, dressed
from branchsearch.report.words import signed

_NAMED = 3
_CROWD = 25  # lines above which they are drawn thin enough to look through


def learning_curves(findings: Findings, *, most: int = 500) -> go.Figure:
    """Δ after each epoch: complete trials solid, stopped ones dashed, the best three named.

    Args:
        findings: What to show.
        most: How many trials to show of each outcome, the latest ones.
    """
    figure = go.Figure()
    complete, stopped = (
        [trial for trial in findings.trials if trial.outcome == outcome and trial.curve]
        for outcome in ("complete", "stopped")
    )
    drawn = complete + stopped
    best = sorted(complete, key=lambda trial: trial.curve[-1], reverse=True)[:_NAMED]
    named = {trial.number for trial in best}
    rest = [trial for trial in complete if trial.number not in named]
    _lines(figure, "stopped early", stopped[-most:], {"color": DIM, "width": 1.3, "dash": "dash"})
    _ends(figure, stopped[-most:])
    _lines(figure, "complete", rest[-most:], {"color": "#8795a3", "width": 1.3})
    _lines(figure, f"best {len(best)}", best, {"color": ACCENT, "width": 2.2})
    dressed(figure, height=420)
    figure.add_hline(y=0, line={"color": INK, "width": 1}, layer="below")
    for trial, y in zip(best, _spread_out([trial.curve[-1] for trial in best], drawn), strict=True):
        figure.add_annotation(
            x=len(trial.curve),
            y=y,
            text=f"trial {trial.number}  {signed(trial.curve[-1], 1)} %",
            showarrow=False,
            xanchor="left",
            xshift=8,
            font={"color": ACCENT, "size": 12},
        )
    figure.update_xaxes(title_text="epoch", rangemode="tozero", nticks=12)
    figure.update_yaxes(title_text="Δ on validation (%)", tickformat="+", range=_range(drawn))
    figure.update_layout(margin={"r": 120})
    return figure


def _lines(
    figure: go.Figure, name: str, trials: Sequence[TrialResult], line: dict[str, object]
) -> None:
    """All trials of one kind as one trace, with gaps between them: a thousand draw at once."""
    if not trials:
        return
    epochs: list[int | None] = []
    deltas: list[float | None] = []
    numbers: list[int | None] = []
    for trial in trials:
        epochs += [*range(1, len(trial.curve) + 1), None]
        deltas += [*(round(delta, 4) for delta in trial.curve), None]
        numbers += [*(trial.number for _ in trial.curve), None]
    figure.add_scatter(
        name=name,
        x=epochs,
        y=deltas,
        customdata=numbers,
        mode="lines+markers" if all(len(trial.curve) == 1 for trial in trials) else "lines",
        line=line,
        opacity=1 if len(trials) <= _CROWD else 0.35,
        hovertemplate="trial %{customdata}, epoch %{x}: Δ %{y:+.2f} %<extra></extra>",
    )


def _ends(figure: go.Figure, trials: Sequence[TrialResult]) -> None:
    """Where each trial was stopped."""
    figure.add_scatter(
        x=[len(trial.curve) for trial in trials],
        y=[round(trial.curve[-1], 4) for trial in trials],
        mode="markers",
        marker={"symbol": "x-thin", "size": 6, "line": {"color": "#8795a3", "width": 1.4}},
        showlegend=False,
        hoverinfo="skip",
    )


def _range(trials: Sequence[TrialResult]) -> list[float] | None:
    """The part of the axis where trials differ; the first epochs' fall would flatten all else."""
    last = [trial.curve[-1] for trial in trials]
    if not last:
        return None
    values = sorted(delta for trial in trials for delta in trial.curve)
    low, high = min(values[len(values) // 4], *last, 0), max(values[-1], 0)
    if high - low == 0:
        return None
    return [max(values[0], low) - 0.06 * (high - low), high + 0.08 * (high - low)]


def _spread_out(heights: Sequence[float], trials: Sequence[TrialResult]) -> list[float]:
    """Label heights, from above, with room between them."""
    frame = _range(trials)
    room = (frame[1] - frame[0]) * 0.055 if frame else 0
    placed: list[float] = []
    for height in heights:
        placed.append(min(height, placed[-1] - room) if placed else height)
    return placed
