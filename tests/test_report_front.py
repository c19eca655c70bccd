from hypothesis import given, settings

from branchsearch.report.findings import Findings, TrialResult
from branchsearch.report.front import feasible, front
from branchsearch.report.pareto import pareto
from tests.report_findings import a_job, findings, without


def dominates(a: TrialResult, b: TrialResult) -> bool:
    assert a.delta is not None
    assert b.delta is not None
    as_good = a.delta >= b.delta and a.parameters <= b.parameters
    return as_good and (a.delta, a.parameters) != (b.delta, b.parameters)


@given(findings())
def test_the_front_is_what_no_feasible_trial_dominates(found: Findings):
    candidates = [trial for trial in found.trials if feasible(found, trial)]
    expected = {
        trial.number
        for trial in candidates
        if not any(dominates(other, trial) for other in candidates)
    }
    assert {trial.number for trial in front(found)} == expected


@given(findings())
def test_only_what_was_trained_to_its_end_within_the_budget_is_on_it(found: Findings):
    for trial in front(found):
        assert trial.outcome == "complete"
        assert trial.parameters <= found.budget.get("parameters", trial.parameters)


@settings(max_examples=25)
@given(findings())
def test_every_scored_trial_is_one_point(found: Findings):
    figure = pareto(found)
    points = sum(len(trace.x) for trace in figure.data if "test" not in trace.name)
    assert points == sum(trial.delta is not None for trial in found.trials)


def test_confirmed_networks_carry_their_spread():
    figure = pareto(a_job())
    bars = {trace.name: trace.error_y.array for trace in figure.data if "test" in trace.name}
    assert set(bars) == {"single-task networks, test", "confirmed, test", "chosen, test"}
    assert all(abs(bar - 0.3) < 1e-9 for array in bars.values() for bar in array)


def test_a_stopped_trial_far_below_does_not_flatten_the_rest():
    low = [t if t.outcome != "stopped" else t.__class__(*_lowered(t)) for t in a_job().trials]
    lowest, _ = pareto(without(a_job(), trials=low)).layout.yaxis.range
    assert lowest > -10
    stopped = next(t for t in pareto(without(a_job(), trials=low)).data if "stopped" in t.name)
    assert min(stopped.y) >= lowest
    assert "\N{MINUS SIGN}90" in stopped.hovertext[0]


def _lowered(trial: TrialResult) -> tuple[object, ...]:
    values = {name: getattr(trial, name) for name in TrialResult.__slots__}
    return tuple({**values, "delta": -90.0}.values())
