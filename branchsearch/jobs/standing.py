"""How a job stands, read from its study and its folder alone.

Nothing here asks what the job's spec means: that takes torch, and a command that only looks on
would wait for it.
"""

import json
from pathlib import Path
from typing import Any

from optuna.study import Study

from branchsearch.jobs.progress import Standing
from branchsearch.search.outcome import Outcome, outcome_of

#: What was trained fully, in a job's folder.
CONFIRMED = "confirmed.json"


def standing(study: Study, total: int) -> Standing:
    """How the trials of a job stand.

    Args:
        study: Of the job.
        total: Trials asked for.
    """
    trials = [(trial, outcome_of(trial)) for trial in study.get_trials(deepcopy=False)]
    outcomes = [outcome for _, outcome in trials]
    deltas = [
        trial.user_attrs["delta"]
        for trial, outcome in trials
        if outcome is Outcome.COMPLETE and trial.user_attrs.get("delta") is not None
    ]
    return Standing(
        total=total,
        done=outcomes.count(Outcome.COMPLETE),
        stopped=outcomes.count(Outcome.STOPPED),
        running=outcomes.count(Outcome.RUNNING),
        failed=sum(outcome.failed for outcome in outcomes),
        best=max(deltas, default=None),
    )


def confirmed(folder: Path) -> list[dict[str, Any]]:
    """What was trained fully, as ``branchsearch.jobs.confirm.as_json`` wrote it; or nothing."""
    path = folder / CONFIRMED
    entries: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
    return entries
