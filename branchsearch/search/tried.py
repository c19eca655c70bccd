"""What a study's trials have tried, read from it once per trial: finished ones never change."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from optuna.study import Study
from optuna.trial import FrozenTrial

from branchsearch.search.candidate import Candidate, candidate_of_trial
from branchsearch.search.outcome import Outcome, outcome_of
from branchsearch.search.parameters import tree_of_trial
from branchsearch.search.problem import Problem
from branchsearch.space.space import Space
from branchsearch.tree import Tree

_What = TypeVar("_What", bound=Hashable)

#: From a trial in any state to what it tries; None where it does not say.
_Read = Callable[[FrozenTrial], _What | None]


def known_trees(study: Study, space: Space, *, but: int | None = None) -> set[Tree]:
    """The trees that need no other trial: trained, training, waiting, or failed of themselves.

    Args:
        study: Where to look.
        space: What its parameters name.
        but: The number of a trial to pass over.
    """
    return _known(study, space, lambda trial: tree_of_trial(space, trial), but)


def known_candidates(study: Study, problem: Problem, *, but: int | None = None) -> set[Candidate]:
    """The same of trees with what is tuned beside them."""
    return _known(study, problem, lambda trial: candidate_of_trial(problem, trial), but)


def finished_candidates(study: Study, problem: Problem) -> Mapping[int, Candidate]:
    """What the finished trials tried, by number, without those that do not say."""
    return _finished(study, problem, lambda trial: candidate_of_trial(problem, trial)).tried


@dataclass
class _Finished(Generic[_What]):
    """What the finished trials of a study tried.

    Attributes:
        numbers: Of the trials that were read.
        settled: So many trials from the first on are finished and read: nobody looks there again.
        tried: By number, what they tried.
        known: As much of it as needs no other trial.
        pending: By number, what trials try that are not finished; parameters never change.
    """

    numbers: set[int] = field(default_factory=set)
    settled: int = 0
    tried: dict[int, _What] = field(default_factory=dict)
    known: set[_What] = field(default_factory=set)
    pending: dict[int, _What] = field(default_factory=dict)


#: By study, and by what its parameters are read as.
_READ: WeakKeyDictionary[Study, dict[Hashable, _Finished[Any]]] = WeakKeyDictionary()


def _finished(study: Study, key: Hashable, read: _Read[_What]) -> _Finished[_What]:
    finished: _Finished[_What] = _READ.setdefault(study, {}).setdefault(key, _Finished())
    trials = study.get_trials(deepcopy=False)
    for trial in trials[finished.settled :]:
        if trial.number not in finished.numbers and trial.state.is_finished():
            finished.numbers.add(trial.number)
            what = finished.pending.pop(trial.number, None) or read(trial)
            if what is not None:
                finished.tried[trial.number] = what
                if _needs_no_other(trial):
                    finished.known.add(what)
    while finished.settled < len(trials) and finished.settled in finished.numbers:
        finished.settled += 1
    return finished


def _known(study: Study, key: Hashable, read: _Read[_What], but: int | None) -> set[_What]:
    finished = _finished(study, key, read)
    unfinished = set()
    for trial in study.get_trials(deepcopy=False)[finished.settled :]:
        if trial.number not in finished.numbers and trial.number != but:
            what = finished.pending.get(trial.number) or read(trial)
            if what is not None:
                finished.pending[trial.number] = what
                unfinished.add(what)
    if but in finished.tried:
        others = (trial for trial in study.get_trials(deepcopy=False) if trial.number != but)
        tried = finished.tried
        return unfinished | {
            tried[t.number] for t in others if t.number in tried and _needs_no_other(t)
        }
    return finished.known | unfinished


def _needs_no_other(trial: FrozenTrial) -> bool:
    """Whether a trial does not leave what it tried to another one."""
    return outcome_of(trial) not in (Outcome.LOST, Outcome.REPEAT)
