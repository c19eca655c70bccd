"""Keeps a job's ledger and its logs while its trainings go on."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from branchsearch.jobs import log
from branchsearch.jobs.ledger import Attempt
from branchsearch.jobs.store import JobStore
from branchsearch.search.outcome import outcome_of

_SEARCH = "search"


class JobAccount:
    """An account of the engine's; made by the one process that drives the job.

    Attempts that an earlier, killed driver has left open are closed as lost.

    Args:
        store: Keeps the ledger.
        job_id: Whose.
        folder: Of the job; keeps the logs.
        gpus: That each training holds.
    """

    def __init__(self, store: JobStore, job_id: str, folder: Path, *, gpus: float) -> None:
        self._store, self._job_id, self._folder, self._gpus = store, job_id, folder, gpus
        self._step = ""
        store.close_lost_attempts(job_id)
        self._closed = store.attempts(job_id)
        self._open: dict[str, tuple[int, Attempt, float]] = {}  # with number, and when it began

    def enter(self, step: str) -> None:
        """The job has come to a step."""
        self._step = step
        log.write(log.job_log(self._folder), "step", step=step)

    def attempts(self) -> list[Attempt]:
        """All of the job's so far, those that go on as they stand now."""
        now = time.monotonic()
        going_on = [replace(known, seconds=now - at) for _, known, at in self._open.values()]
        return self._closed + going_on

    def began(self, key: str) -> None:
        """Open a line of the ledger."""
        number, attempt = self._store.begin_attempt(self._job_id, self._step, key, self._gpus)
        self._open[key] = number, attempt, time.monotonic()
        before = sum((a.step, a.key) == (self._step, key) for a in self._closed)
        self._log(key, "began", attempt=before + 1)

    def reported(self, key: str, report: Mapping[str, Any]) -> None:
        """Log an epoch."""
        where = (
            log.trial_log(self._folder, key) if self._step == _SEARCH else log.job_log(self._folder)
        )
        log.write(where, "epoch", **self._named(key), **report)

    def alive(self) -> None:
        """Write down how long the open attempts have taken."""
        now = time.monotonic()
        self._store.keep_attempts({number: now - at for number, _, at in self._open.values()})

    def ended(
        self, key: str, how: str, *, reason: str | None = None, trace: str | None = None
    ) -> None:
        """Close a line of the ledger."""
        number, attempt, at = self._open.pop(key)
        closed = replace(attempt, seconds=time.monotonic() - at, how=how)
        self._closed.append(closed)
        self._store.end_attempt(number, closed.seconds, how)
        self._log(key, "ended", how=how, seconds=closed.seconds, reason=reason, trace=trace)

    def told(self, trial: FrozenTrial) -> None:
        """Log what became of a trial."""
        known = trial.user_attrs
        self._log(
            str(trial.number),
            "outcome",
            outcome=outcome_of(trial),
            tree=known.get("tree"),
            delta=known.get("delta"),
            reason=known.get("reason"),
        )

    def _log(self, key: str, event: str, **facts: Any) -> None:  # noqa: ANN401
        log.write(log.job_log(self._folder), event, **self._named(key), **facts)
        if self._step == _SEARCH:
            log.write(log.trial_log(self._folder, key), event, **self._named(key), **facts)

    def _named(self, key: str) -> dict[str, Any]:
        return {"trial": int(key)} if self._step == _SEARCH else {"training": key}
