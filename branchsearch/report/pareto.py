"""What accuracy costs: Δ against parameters, of trials and of confirmed networks."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from branchsearch.drawing.palette import INK, QUIET
from branchsearch.report.findings import Confirmed, Findings, TrialResult, mean_and_spread
from branchsearch.report.front import feasible, front, gained
from branchsearch.report.look import ACCENT, DIM, WARM, dressed
from branchsearch.report.verdict import reference
from branchsearch.report.words import amount, outcome, percent, plain, signed, under_pointer

_LABELLED = 10  # points of the front up to which each shows its trial's number


def pareto(findings: Findings, *, most: int = 2000) -> go.Figure:
    """The front as a step line, what is not on it dim, and what was confirmed on the test part.

    Args:
        findings: What to show.
        most: How many trials to show beside the front, the best ones first.
    """
    figure = go.Figure()
    best = front(findings)
    on_front = {trial.number for trial in best}
    scored = [t for t in findings.trials if t.delta is not None and t.number not in on_front]
    scored = sorted(scored, key=gained, reverse=True)[:most]
    complete = [trial for trial in scored if feasible(findings, trial)]
    beyond = [t for t in scored if t.outcome == "complete" and not feasible(findings, t)]
    stopped = [trial for trial in scored if trial.outcome == "stopped"]
    frame = _range([*best, *complete, *beyond] or stopped, findings.confirmed)
    _stopped(figure, stopped, frame[0] + 0.03 * (frame[1] - frame[0]))
    _trials(
        figure, "over budget", beyond, marker={"color": DIM, "size": 7, "symbol": "x-thin-open"}
    )
    _trials(figure, "trial, validation", complete, marker={"color": "#8795a3", "size": 7})
    _trials(
        figure,
        "front, validation",
        best,
        marker={"color": ACCENT, "size": 9},
        line={"color": ACCENT, "width": 1.6, "shape": "hv"},
        mode="lines+markers+text" if len(best) <= _LABELLED else "lines+markers",
        text=[f"{trial.number}" for trial in best],
        textposition="top left",
        textfont={"color": ACCENT, "size": 11},
    )
    single = reference(findings)
    others = [network for network in findings.confirmed if network is not single]
    _confirmed(figure, [network for network in others if not network.chosen], "confirmed, test")
    _confirmed(figure, [network for network in others if network.chosen], "chosen, test")
    if single is not None:
        _reference(figure, single)
    dressed(figure, height=480)
    figure.add_hline(y=0, line={"color": INK, "width": 1}, layer="below")
    if "parameters" in findings.budget:
        most_parameters = findings.budget["parameters"]
        figure.add_vline(
            x=most_parameters,
            line={"color": QUIET, "width": 1, "dash": "dash"},
            annotation={
                "text": f"budget {amount(most_parameters)}",
                "font": {"color": QUIET, "size": 12},
                "xanchor": "right",
                "yanchor": "top",
                "xshift": -4,
                "y": 1,
            },
        )
    figure.update_xaxes(title_text="parameters", tickformat="~s", nticks=8)
    figure.update_yaxes(
        title_text="Δ over single-task networks (%)", tickformat="+", nticks=8, range=frame
    )
    return figure


def _range(trials: Sequence[TrialResult], confirmed: Sequence[Confirmed]) -> list[float]:
    """The part of the axis where finished networks are; a stopped trial may lie far below."""
    ends = [0.0, *(gained(trial) for trial in trials)]
    for mean, spread in (mean_and_spread(network.deltas) for network in confirmed):
        ends += [mean - spread, mean + spread]
    room = 0.12 * (max(ends) - min(ends)) or 1.0
    return [min(ends) - room, max(ends) + room]


def _stopped(figure: go.Figure, trials: Sequence[TrialResult], lowest: float) -> None:
    """Stopped trials, dim and hollow; those that lie below the frame point down at its edge."""
    below = [gained(trial) < lowest for trial in trials]
    _trials(
        figure,
        "stopped early",
        trials,
        y=[max(lowest, gained(trial)) for trial in trials],
        marker={
            "color": "rgba(0,0,0,0)",
            "size": 7,
            "symbol": ["triangle-down" if low else "circle" for low in below],
            "line": {"color": DIM, "width": 1.3},
        },
    )


def _trials(
    figure: go.Figure,
    name: str,
    trials: Sequence[TrialResult],
    **style: Any,  # noqa: ANN401
) -> None:
    if trials:
        figure.add_scatter(
            name=name,
            x=[trial.parameters for trial in trials],
            hovertext=[_about_trial(trial) for trial in trials],
            hoverinfo="text",
            **{
                "mode": "markers",
                "y": [round(gained(trial), 4) for trial in trials],
                **style,
            },
        )


def _confirmed(figure: go.Figure, networks: Sequence[Confirmed], name: str) -> None:
    if not networks:
        return
    among = [mean_and_spread(network.deltas) for network in networks]
    is_chosen = networks[0].chosen
    figure.add_scatter(
        name=name,
        x=[network.parameters for network in networks],
        y=[round(mean, 4) for mean, _ in among],
        error_y={
            "array": [round(spread, 4) for _, spread in among],
            "color": WARM,
            "thickness": 1.3,
            "width": 5,
        },
        mode="markers",
        marker={
            "color": WARM if is_chosen else "#ffffff",
            "size": 11 if is_chosen else 9,
            "symbol": "diamond",
            "line": {"color": WARM, "width": 1.6},
        },
        hovertext=[_about_network(network) for network in networks],
        hoverinfo="text",
    )


def _reference(figure: go.Figure, single: Confirmed) -> None:
    mean, spread = mean_and_spread(single.deltas)
    figure.add_scatter(
        name="single-task networks, test",
        x=[single.parameters],
        y=[round(mean, 4)],
        error_y={"array": [round(spread, 4)], "color": INK, "thickness": 1.3, "width": 5},
        mode="markers",
        marker={"color": INK, "size": 9, "symbol": "square"},
        hovertext=[_about_network(single)],
        hoverinfo="text",
    )


def _about_trial(trial: TrialResult) -> str:
    return (
        f"trial {trial.number}, {outcome(trial.outcome)}: Δ {signed(gained(trial))} % on validation"
        f"<br>{_cost(trial)}<br><br>{under_pointer(trial.tree)}"
    )


def _about_network(network: Confirmed) -> str:
    return (
        f"<b>{plain(network.name[:80])}</b>: Δ {percent(network.deltas)} on test, "
        f"{len(network.deltas)} seeds<br>{_cost(network)}<br><br>{under_pointer(network.tree)}"
    )


def _cost(of: TrialResult | Confirmed) -> str:
    return f"{amount(of.parameters)} parameters, {amount(of.multiply_adds)} multiply-adds"
