"""Commands that show what jobs have found; they change nothing."""

from collections import defaultdict
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer

from branchsearch.cli.options import (
    DEFAULT_HOME,
    HomeOption,
    JobArgument,
    Output,
    OutputOption,
    find_job,
    look_up,
    open_home,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from branchsearch.jobs.home import Home
    from branchsearch.jobs.job import Job
    from branchsearch.jobs.ledger import Attempt
    from branchsearch.report.findings import TrialResult

#: What becomes of a job that no process drives.
_GOES_ON = "no process runs it; `branchsearch run` with the same file goes on"


def list_jobs(home: HomeOption = DEFAULT_HOME, output: OutputOption = Output.TABLE) -> None:
    """List the jobs, the newest first."""
    from branchsearch.cli.output import show

    opened = open_home(home)
    jobs = opened.store.newest_first() if opened.exists() else []
    rows = [
        {
            "id": job.id,
            "name": job.name,
            "state": _state(opened, job),
            "step": job.step,
            "reason": job.reason,
            "created": job.created.isoformat(timespec="seconds"),
        }
        for job in jobs
    ]
    if not jobs:
        where = " in" if opened.exists() else "; there is no home at"
        typer.echo(f"no jobs{where} {opened.root}", err=True)
    if jobs or output is Output.JSON:
        show(rows, output)


def show(
    job: JobArgument, home: HomeOption = DEFAULT_HOME, output: OutputOption = Output.TABLE
) -> None:
    """Show where a job stands."""
    from branchsearch.cli.output import show as print_out
    from branchsearch.jobs.standing import standing

    opened, found = look_up(home, job)
    limits, folder = found.limits, opened.folder(found)
    price, interrupted = limits.get("cost_per_hour"), _is_interrupted(opened, found)
    stands = standing(opened.study(found), limits["max_trials"])
    attempts = opened.store.attempts(found.id)
    steps = {attempt.step: [a for a in attempts if a.step == attempt.step] for attempt in attempts}
    print_out(
        {
            "id": found.id,
            "name": found.name,
            "state": _state(opened, found),
            "step": found.step,
            "reason": found.reason,
            "message": _GOES_ON if interrupted else found.message,
            "trials": {
                "asked": stands.total,
                "complete": stands.done,
                "stopped": stands.stopped,
                # of a process that is gone, what it trained stands in the study as running
                "running": stands.running if opened.is_driven(found) else 0,
                "failed": stands.failed,
            },
            **_gains(stands.best, folder, output),
            "budget": limits,
            "ledger": _spent(attempts, price),
            "ledger_by_step": [
                {"step": step, **_spent(of_step, price)} for step, of_step in steps.items()
            ],
            "folder": str(folder),
            "created": found.created.isoformat(timespec="seconds"),
            "changed": found.changed.isoformat(timespec="seconds"),
        },
        output,
    )


def trials(
    job: JobArgument, home: HomeOption = DEFAULT_HOME, output: OutputOption = Output.TABLE
) -> None:
    """List a job's trials."""
    from branchsearch.cli.output import show

    opened, seen = find_job(home, job)
    driven = opened.is_driven(seen.job)
    ledger: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in opened.store.attempts(seen.job.id):
        if attempt.step == "search":
            ledger[attempt.key].append(attempt)
    rows: list[dict[str, Any]] = [
        {
            "number": trial.number,
            "outcome": str(trial.outcome) if driven or trial.outcome != "running" else "lost",
            "delta": trial.delta,
            **{task.name: trial.metrics.get(task.name) for task in seen.checked.space.tasks},
            "parameters": trial.parameters,
            "multiply_adds": trial.multiply_adds,
            "seconds": trial.seconds,
            "ledger": _spent(ledger[str(trial.number)], seen.budget.cost_per_hour),
            "tree": str(trial.tree),
            **({"choices": dict(trial.choices)} if seen.checked.tuned else {}),
        }
        for trial in seen.trials()
    ]
    if output is Output.TABLE:  # a table has no place for mappings
        for row in rows:
            row |= row.pop("choices", {})
            taken = row.pop("ledger")
            row |= {"attempts": taken["attempts"], "held": taken["seconds"], "cost": taken["cost"]}
    show(rows, output)


def logs(
    job: JobArgument,
    trial: Annotated[
        int | None, typer.Option("--trial", help="Of this one alone, in full.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what happened to a job, or to one of its trials."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.log import NothingLogged, job_log, read, trial_log

    opened, found = look_up(home, job)
    folder = opened.folder(found)
    events = read(job_log(folder) if trial is None else trial_log(folder, trial))
    if not events and trial is not None:
        numbers = {each.number for each in opened.study(found).get_trials(deepcopy=False)}
        if trial not in numbers:
            raise NothingLogged(f"job {found.id} has no trial {trial}")
    if not events:
        of = "" if trial is None else f"trial {trial} of "
        raise NothingLogged(f"nothing is logged of {of}job {found.id}")
    if output is Output.JSON:
        show(events, output)
        return
    for event in events:
        typer.echo(_line(event))


def best(
    job: JobArgument, home: HomeOption = DEFAULT_HOME, output: OutputOption = Output.TABLE
) -> None:
    """Show the chosen network, and the front of gain and size that the trials make."""
    from branchsearch.cli.output import show
    from branchsearch.report.front import front

    _, seen = find_job(home, job)
    findings = seen.findings()
    chosen = next((network for network in findings.confirmed if network.chosen), None)
    show(
        {
            "chosen": None
            if chosen is None
            else {
                "tree": str(chosen.tree),
                **({"choices": dict(chosen.choices)} if chosen.choices else {}),
                **_on_test(list(chosen.deltas), output),
                "parameters": chosen.parameters,
                "multiply_adds": chosen.multiply_adds,
            },
            "front": [_on_front(trial) for trial in front(findings)],
        },
        output,
    )


def why(
    job: JobArgument,
    tree: Annotated[
        str | None, typer.Option("--tree", help="As in: a+b+c > a+b,c; else the chosen one.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show, for every branching point of a tree, what speaks for and against it."""
    from branchsearch.cli.output import show
    from branchsearch.jobs.check import check_tree
    from branchsearch.jobs.reading import InvalidSpec
    from branchsearch.report.why import as_json, as_rows, tree_to_explain
    from branchsearch.report.why import why as explained

    _, seen = find_job(home, job)
    findings = seen.findings()
    try:
        shown = (
            tree_to_explain(findings)
            if tree is None
            else check_tree(seen.checked.space.space, tree)
        )
    except ValueError as error:
        raise InvalidSpec(f"--tree: {error}") from None
    points = explained(shown, findings)
    if output is Output.JSON:
        show({"tree": str(shown), "branching_points": as_json(points)}, output)
    else:
        show(as_rows(points), output)


def _line(event: "Mapping[str, Any]") -> str:
    facts = {name: fact for name, fact in event.items() if name not in ("at", "event", "trace")}
    said = " ".join(f"{name}={_fact(fact)}" for name, fact in facts.items())
    trace = indent(f"\n{event['trace'].rstrip()}", "    ") if "trace" in event else ""
    return f"{event['at']} {event['event']} {said}{trace}"


def _fact(fact: Any) -> str:  # noqa: ANN401  # any JSON
    from branchsearch.cli.output import cell

    if isinstance(fact, dict):
        return f"({', '.join(f'{name} {cell(part)}' for name, part in fact.items())})"
    return cell(fact)


def _gains(best: float | None, folder: "Path", output: Output) -> dict[str, Any]:
    """What the trials have gained on validation, and the chosen network on the test part."""
    from branchsearch.jobs.standing import confirmed
    from branchsearch.report.words import percent

    chosen = next((network for network in confirmed(folder) if network["chosen"]), None)
    on_test = {} if chosen is None else _on_test(chosen["deltas"], output)
    if output is Output.JSON:
        of_chosen = chosen and {"tree": chosen["tree"], **on_test}
        return {"best_delta_percent": best, "chosen": of_chosen}
    shown = {"best delta on validation": None if best is None else percent([best])}
    return shown if chosen is None else {**shown, "chosen tree": chosen["tree"], **on_test}


def _on_test(deltas: list[float], output: Output) -> dict[str, Any]:
    """A network's gain on the test part: every seed's for programs, what they say for people."""
    from branchsearch.report.words import percent_of_seeds

    if output is Output.JSON:
        return {"test_delta_percent": deltas}
    return {"delta on test": percent_of_seeds(deltas)}


def _spent(attempts: "list[Attempt]", cost_per_hour: float | None) -> dict[str, Any]:
    from dataclasses import asdict

    from branchsearch.jobs.ledger import spent

    return asdict(spent(attempts, cost_per_hour))


def _on_front(trial: "TrialResult") -> dict[str, Any]:
    return {
        "number": trial.number,
        "delta": trial.delta,
        "parameters": trial.parameters,
        "tree": str(trial.tree),
        **({"choices": dict(trial.choices)} if trial.choices else {}),
    }


def _state(home: "Home", job: "Job") -> str:
    return "interrupted" if _is_interrupted(home, job) else str(job.state)


def _is_interrupted(home: "Home", job: "Job") -> bool:
    """Whether a job has not ended, and no process is there to end it."""
    return job.state in ("queued", "running") and not home.is_driven(job)
