"""The steps of a job that train networks, and what each leaves behind.

Every step takes up what an earlier, killed run of it has finished: trainings are kept by content,
trials stand in the study, and every file appears whole. So each may be run again at any time.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from math import isfinite

from optuna.study import Study

from branchsearch import catalog
from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.features import NotComparable
from branchsearch.affinity.scale import mutual
from branchsearch.files import write_whole
from branchsearch.jobs import affinities, gather
from branchsearch.jobs.account import JobAccount
from branchsearch.jobs.budget import used_up
from branchsearch.jobs.confirm import (
    SHARE_ALL,
    SINGLE_TASK,
    Repeats,
    as_json,
    best_candidates,
    choose,
    named,
)
from branchsearch.jobs.gather import Seen
from branchsearch.jobs.job import Reason
from branchsearch.jobs.progress import Standing
from branchsearch.jobs.spec import Budget
from branchsearch.jobs.standing import CONFIRMED, standing
from branchsearch.jobs.training import Training, train
from branchsearch.jobs.trainings import Trainings
from branchsearch.search.candidate import Candidate
from branchsearch.search.early_stopping import Rule
from branchsearch.search.engine import Engine
from branchsearch.search.outcome import Outcome
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.estimating import Estimates
from branchsearch.search.source import TrainingFailed, Work
from branchsearch.search.trials import End, StudyTrials
from branchsearch.space.extremes import extremes
from branchsearch.train.scores import gains
from branchsearch.tree import Tree

#: Called whenever a step has come further.
Say = Callable[[Standing], None]


class JobFailed(RuntimeError):
    """A job came to an end without a result."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def baselines(trainings: Trainings, engine: Engine, say: Say) -> dict[str, float]:
    """Train every task alone, and all of them on one shared network.

    Returns:
        Each task's metric alone, on validation.

    Raises:
        JobFailed: A task's metric is 0 or not a number: gains are shares of it.
    """
    tasks = trainings.checked.space.tasks
    needed = {task.name: trainings.of_trial(trainings.alone(task.name)) for task in tasks}
    if trainings.checked.spec.trial.inherit != "scratch":
        train_all(needed, engine, say)  # the shared network starts from these
    needed[SHARE_ALL] = trainings.of_trial(trainings.shared)
    train_all(needed, engine, say)
    references = {task.name: needed[task.name].result()["metrics"][task.name] for task in tasks}
    for task in tasks:
        reference = references[task.name]
        if reference == 0 or not isfinite(reference):
            raise JobFailed(
                Reason.INVALID_SPEC,
                f"the single-task network of {task.name!r} has a {task.metric} of {reference}, so "
                "that no gain can be measured: train it longer, or judge it by another metric",
            )
    return references


def affinity(trainings: Trainings, seen: Seen, engine: Engine, say: Say) -> Affinity:
    """Compare the tasks at every stage by every measure of the job, and keep that.

    Returns:
        By the first measure.

    Raises:
        JobFailed: The tasks cannot be compared.
    """
    spec = trainings.checked.spec
    kept = seen.affinities()
    if kept:
        return kept[0]
    try:
        measured = affinities.measure(
            trainings,
            lambda needed: train_all(needed, engine, say),
            measures=spec.affinity.measures,
            draws=spec.affinity.draws,
            batches=spec.affinity.batches,
            seed=spec.reproducibility.seed,
        )
    except NotComparable as error:
        raise JobFailed(Reason.INTERNAL, f"the tasks cannot be compared: {error}") from error
    affinities.save(measured, seen.folder)
    return measured[0]


def search(
    trainings: Trainings,
    seen: Seen,
    engine: Engine,
    say: Say,
    *,
    references: Mapping[str, float],
    affinity: Affinity,
    account: JobAccount,
) -> tuple[End, str]:
    """Try trees until a limit of the budget is met.

    Args:
        trainings: Of the job.
        seen: Its study.
        engine: Trains.
        say: Hears how trials stand.
        references: Each task's metric alone.
        affinity: What samplers are told of the tasks.
        account: Knows what was spent.

    Returns:
        Why the search is over, also in words.

    Raises:
        JobFailed: Too many trials failed, or none came to its end.
    """
    checked = trainings.checked
    spec, space, budget = checked.spec, checked.space.space, seen.budget
    problem = _problem(trainings, affinity)

    def changed() -> None:
        say(standing(seen.study, budget.max_trials))

    def limit() -> tuple[End, str] | None:
        return used_up(budget, account.attempts())

    trials = StudyTrials(
        seen.study,
        problem,
        objectives=[objective.metric for objective in spec.objectives],
        sampler=catalog.find("sampler", spec.sampler.name)(problem, **spec.sampler.args),
        rule=_rule(trainings),
        training=lambda candidate: trainings.of_trial(candidate.tree, candidate.choices),
        gains=lambda metrics: gains(checked.space.tasks, metrics, references),
        first=[*extremes(space), *checked.first],
        trials=budget.max_trials,
        failures=budget.max_consecutive_failures,
        seed=spec.reproducibility.seed,
        used_up=lambda: (met := limit()) and met[0],
        changed=changed,
        told=account.told,
    )
    changed()
    engine.run(trials, train, seconds=budget.max_seconds_per_trial)
    for result in seen.trials():
        outcome = Outcome(result.outcome)
        if outcome is Outcome.STOPPED or outcome.failed:  # nobody goes on with these
            trainings.of_trial(result.tree, result.choices).forget()
    end = trials.end
    assert end is not None  # the engine returns when its source is finished
    met = (
        None
        if end is End.BUDGET_EXHAUSTED and _enough(standing(seen.study, budget.max_trials))
        else limit()
    )
    message = met[1] if met else _in_words(end, budget)
    if end is End.TOO_MANY_FAILURES:
        raise JobFailed(Reason.TOO_MANY_FAILURES, f"{message}; {_last_reason(seen.study)}")
    if not best_candidates(seen.findings(), 1):
        raise JobFailed(
            Reason(end), f"no trial came to its end; {message}; {_last_reason(seen.study)}"
        )
    return end, message


def _problem(trainings: Trainings, affinity: Affinity) -> Problem:
    checked = trainings.checked
    bounds = checked.spec.upper_bounds
    return Problem(
        checked.space.space, checked.space.costs, bounds, mutual(affinity), checked.tuned
    )


def _worth(trainings: Trainings, seen: Seen) -> dict[Tree, float] | None:
    """What the trained trees are expected to gain; None where the sampler does not say."""
    spec = trainings.checked.spec
    if trainings.checked.tuned or not seen.affinities():
        return None
    problem = _problem(trainings, seen.affinities()[0])
    sampler = catalog.find("sampler", spec.sampler.name)(problem, **spec.sampler.args)(0)
    if not isinstance(sampler, Estimates):
        return None
    trees = list({result.tree for result in seen.trials()})
    return dict(zip(trees, sampler.estimates(seen.study, trees).tolist(), strict=True))


def confirm(trainings: Trainings, seen: Seen, engine: Engine, say: Say) -> None:
    """Train the best trees and the baselines fully, with several seeds, and choose one.

    After a search that was extended other trees may be the best: then what was chosen and exported
    before goes.
    """
    checked, seeds = trainings.checked, trainings.confirmation_seeds
    tuned = checked.tuned
    shared = Candidate(trainings.shared, tuned.own if tuned else ())
    networks_of = {SHARE_ALL: Candidate(trainings.shared)}
    best = best_candidates(
        seen.findings(), checked.spec.confirm.trees, but=shared, worth=_worth(trainings, seen)
    )
    networks_of |= {named(each): each for each in best}
    if {entry["name"] for entry in seen.confirmed()} == {SINGLE_TASK, *networks_of}:
        return
    (seen.folder / CONFIRMED).unlink(missing_ok=True)
    if (seen.folder / gather.EXPORT).is_dir():
        shutil.rmtree(seen.folder / gather.EXPORT)
    alone = {task.name: trainings.alone(task.name) for task in checked.space.tasks}
    alone_of = {task: Candidate(tree) for task, tree in alone.items()}
    needed = {
        (name, seed): trainings.of_confirmation(each.tree, seed, each.choices)
        for seed in seeds  # a whole comparison first, then the next seed's
        for name, each in {**alone_of, **networks_of}.items()
    }
    by_name = {f"{name}, seed {seed}": training for (name, seed), training in needed.items()}
    train_all(by_name, engine, say)
    results = {of: training.result() for of, training in needed.items()}
    costs = checked.space.costs
    single = Repeats(
        name=SINGLE_TASK,
        tree=trainings.separate,
        validation=[{t: results[t, seed]["metrics"][t] for t in alone} for seed in seeds],
        test=[{t: results[t, seed]["test"][t] for t in alone} for seed in seeds],
        cost=costs.of(trainings.separate),
        candidate=False,
    )
    networks = [single] + [
        Repeats(
            name=name,
            tree=each.tree,
            validation=[results[name, seed]["metrics"] for seed in seeds],
            test=[results[name, seed]["test"] for seed in seeds],
            cost=checked.cost(each.tree, each.choices),
            candidate=checked.allows(each.tree, each.choices),
            choices=each.choices,
        )
        for name, each in networks_of.items()
    ]
    chosen, best_seed = choose(checked.space.tasks, networks)
    entries = as_json(checked.space.tasks, networks, chosen)
    entries[chosen]["exported_seed"] = seeds[best_seed]
    write_whole(seen.folder / CONFIRMED, json.dumps(entries, indent=1))


def train_all(needed: Mapping[str, Training], engine: Engine, say: Say) -> None:
    """Have trainings done that are not kept yet; each of several equal ones once.

    Raises:
        JobFailed: One of them failed.
    """
    missing = {
        training.key: Work(name, training)
        for name, training in needed.items()
        if training.kept() is None
    }
    total, left = len(needed), {work.key for work in missing.values()}

    def tell() -> None:
        running = min(len(left), engine.workers)
        say(Standing(total=total, done=total - len(left), running=running))

    def ended(name: str) -> None:
        left.discard(name)
        tell()

    tell()
    try:
        engine.run_all(missing.values(), train, ended)
    except TrainingFailed as error:
        raise JobFailed(
            Reason.INTERNAL, f"a training that all others need failed: {error}"
        ) from None


def _rule(trainings: Trainings) -> Rule:
    spec = trainings.checked.spec
    fidelity, found = spec.fidelity, catalog.find("scheduler", spec.fidelity.scheduler)
    rule: Rule
    match fidelity.scheduler:
        case "none":
            rule = found
        case "halving":
            rule = found(first=fidelity.min, factor=fidelity.eta)
        case "learning_curve":
            rule = found(first=fidelity.min, chance=fidelity.chance, epochs=spec.trial.epochs)
    return rule


def _enough(standing: Standing) -> bool:
    return standing.done + standing.stopped >= standing.total


def _in_words(end: End, budget: Budget) -> str:
    match end:
        case End.SPACE_EXHAUSTED:
            return "every tree that is allowed has a trial"
        case End.TOO_MANY_FAILURES:
            return (
                f"{budget.max_consecutive_failures} trials in a row failed; once mended, the same "
                "command goes on with others"
            )
        case End.BUDGET_EXHAUSTED | End.DEADLINE:
            return f"budget.max_trials: {budget.max_trials} trained"


def _last_reason(study: Study) -> str:
    reasons = [
        t.user_attrs["reason"] for t in study.get_trials(deepcopy=False) if "reason" in t.user_attrs
    ]
    return f"the last one: {reasons[-1]}" if reasons else "none came to its end"
