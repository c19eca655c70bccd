"""What became of a trial, as its user attributes say."""

from enum import StrEnum
from typing import Self

from optuna.trial import FrozenTrial, TrialState

from branchsearch.search.failure import Failure

#: The user attribute that holds the outcome.
OUTCOME = "outcome"


class Outcome(StrEnum):
    """How a trial ended, or that it has not."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"  # early; PRUNED in Optuna, with what it had reached
    FAILED = "failed"  # an exception, or its process died too often; never tried again
    NOT_FINITE = "not_finite"  # a loss or a metric is not a number; never tried again
    OUT_OF_MEMORY = "out_of_memory"  # never tried again
    TIMED_OUT = "timed_out"  # took longer than a trial may; never tried again
    LOST = "lost"  # its process was killed; the same tree waits or runs again
    REPEAT = "repeat"  # the tree had a trial already
    OVER_BUDGET = "over_budget"  # never trained

    @property
    def counts(self) -> bool:
        """Whether a trial that ended so is one of those the job asked for."""
        return self in (Outcome.COMPLETE, Outcome.STOPPED)

    @property
    def failed(self) -> bool:
        """Whether a trial that ended so came to no end of its own, and will not."""
        return self in (
            Outcome.FAILED,
            Outcome.NOT_FINITE,
            Outcome.OUT_OF_MEMORY,
            Outcome.TIMED_OUT,
        )

    @classmethod
    def of_failure(cls, failure: str) -> Self:
        """What a failed training makes of its trial: a dead process is a failure like others."""
        return cls(Failure.EXCEPTION if failure == Failure.KILLED else failure)


#: What a trial is taken for that somebody else has told.
_TOLD = {
    TrialState.WAITING: Outcome.WAITING,
    TrialState.RUNNING: Outcome.RUNNING,
    TrialState.COMPLETE: Outcome.COMPLETE,
    TrialState.PRUNED: Outcome.STOPPED,
    TrialState.FAIL: Outcome.LOST,
}


def outcome_of(trial: FrozenTrial) -> Outcome:
    """What became of a trial."""
    told = trial.state.is_finished() and trial.user_attrs.get(OUTCOME)
    return Outcome(told) if told else _TOLD[trial.state]
