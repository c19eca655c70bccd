"""What became of a trial, as its user attributes say."""

from enum import StrEnum

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from branchsearch.search.parameters import tree_of_trial
from branchsearch.space.space import Space
from branchsearch.tree import Tree

#: The user attribute that holds the outcome.
OUTCOME = "outcome"


class Outcome(StrEnum):
    """How a trial ended, or that it has not."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"  # early; PRUNED in Optuna, with what it had reached
    FAILED = "failed"  # of itself: not a number, an error; never tried again
    LOST = "lost"  # its process was killed; the same tree waits or runs again
    REPEAT = "repeat"  # the tree had a trial already
    OVER_BUDGET = "over_budget"  # never trained

    @property
    def counts(self) -> bool:
        """Whether a trial that ended so is one of those the job asked for."""
        return self in (Outcome.COMPLETE, Outcome.STOPPED)


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


def known_trees(study: Study, space: Space, *, but: int | None = None) -> set[Tree]:
    """The trees that need no other trial: trained, training, waiting, or failed of themselves.

    Args:
        study: Where to look.
        space: What its parameters name.
        but: The number of a trial to pass over.
    """
    again = (Outcome.LOST, Outcome.REPEAT)
    trees = (
        tree_of_trial(space, trial)
        for trial in study.get_trials(deepcopy=False)
        if trial.number != but and outcome_of(trial) not in again
    )
    return {tree for tree in trees if tree is not None}
