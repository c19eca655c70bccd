"""A job and the states it passes through."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


#: What may follow what. A failed job may run again: what it had finished is kept. A job that has
#: ended is queued again when its budget is raised.
NEXT = {
    JobState.QUEUED: {JobState.RUNNING, JobState.FAILED},
    JobState.RUNNING: {JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED},
    JobState.SUCCEEDED: {JobState.QUEUED},
    JobState.FAILED: {JobState.QUEUED, JobState.RUNNING},
}


class Reason(StrEnum):
    """Why a job ended."""

    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    DEADLINE = "DEADLINE"
    SPACE_EXHAUSTED = "SPACE_EXHAUSTED"
    TOO_MANY_FAILURES = "TOO_MANY_FAILURES"
    INVALID_SPEC = "INVALID_SPEC"
    INTERNAL = "INTERNAL"


class JobNotFound(LookupError):
    """No job has that id."""


class IllegalTransition(ValueError):
    """The job's state does not allow this step."""


class JobIsRunning(RuntimeError):
    """Another process is running the job."""


@dataclass(frozen=True, slots=True)
class Job:
    """A snapshot of one job.

    The spec is what was stored, not checked again: a key renamed since must not make old jobs
    unreadable.

    Attributes:
        id: ``job_`` and a ULID; ids sort by the time of submission.
        name: What people call it.
        state: Where it stands.
        step: The step that it is in or ended in, as in ``baselines``; None before the first.
        reason: Why it ended.
        message: The same in a sentence.
        spec: What it asks for.
        spec_hash: SHA-256 of the spec's canonical JSON.
        created: When it was submitted, UTC.
        changed: When its state or step last changed, UTC.
        extension: What limits of its budget were raised to, by name.
    """

    id: str
    name: str
    state: JobState
    step: str | None
    reason: str | None
    message: str | None
    spec: Mapping[str, Any]
    spec_hash: str
    created: datetime
    changed: datetime
    extension: Mapping[str, float]

    @property
    def limits(self) -> dict[str, Any]:
        """The limits of its budget, as they were raised; without those that it does not have."""
        limits = {**self.spec["budget"], **self.extension}
        return {name: limit for name, limit in limits.items() if limit is not None}
