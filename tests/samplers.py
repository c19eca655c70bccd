"""Every sampler that a job can name, and small problems to try them on."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import Trial, TrialState

from branchsearch import catalog
from branchsearch.search.candidate import Candidate, candidate_of, ranges
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.fresh import FreshSampler
from branchsearch.search.samplers.stock import stock_names
from branchsearch.search.tuned import Choices, Tuned
from branchsearch.space.cost import Cost, CostTable
from branchsearch.space.space import Space
from branchsearch.tree import Tree

#: A folder laid out as OptunaHub's registry.
REGISTRY = Path(__file__).parent / "hub_registry"

Make = Callable[[int], BaseSampler]

#: From a problem to the sampler of a seed, by name: of the catalog, and some of its families.
SAMPLERS: dict[str, Callable[[Problem], Make]] = {
    name: catalog.find("sampler", name)
    for name in catalog.names("sampler")
    if not name.endswith(":")
}
SAMPLERS |= {
    f"optuna:{name}": catalog.find("sampler", f"optuna:{name}")
    for name in stock_names()
    if name not in ("GPSampler", "RandomSampler", "TPESampler")  # seconds a proposal; as ours
}
SAMPLERS["optunahub:samplers/uniform"] = partial(
    catalog.find("sampler", "optunahub:samplers/uniform"), registry=str(REGISTRY)
)


def problem_of(space: Space, tuned: Tuned | None = None, **budget: int) -> Problem:
    """Each copy of a stage, and each head, has 10 parameters; neighbours are alike."""
    places = np.arange(len(space.tasks))
    alike = 1.0 - np.abs(places[:, None] - places) / len(places)
    return Problem(space, costs_of(space), budget, np.stack([alike] * space.stages), tuned)


def costs_of(space: Space, parameters: int = 10) -> CostTable:
    part = Cost(parameters, 10 * parameters)
    return CostTable((part,) * space.stages, dict.fromkeys(space.tasks, part))


def tuned_in(space: Space) -> Tuned:
    """A width, which changes costs, a learning rate and a number of something."""

    def costs(choices: Choices) -> CostTable:
        return costs_of(space, {"narrow": 10, "wide": 20}[dict(choices)["width"]])

    return Tuned(
        ranges={
            "rate": FloatDistribution(0.001, 0.1, log=True),
            "width": CategoricalDistribution(("narrow", "wide")),
            "steps": IntDistribution(1, 3),
        },
        own=(("rate", 0.01), ("steps", 1), ("width", "narrow")),
        costs=costs,
    )


def value(tree: Tree) -> float:
    return float(sum(tree.widths))


def ask(study: Study, make: Make, problem: Problem, *, seed: int) -> tuple[Tree, Trial]:
    candidate, trial = ask_candidate(study, make, problem, seed=seed)
    return candidate.tree, trial


def ask_candidate(
    study: Study, make: Make, problem: Problem, *, seed: int, **others: BaseDistribution
) -> tuple[Candidate, Trial]:
    study.sampler = FreshSampler(make(seed), problem, seed=seed)
    trial = study.ask({**ranges(problem), **others})
    return candidate_of(problem, trial.params), trial


def grown(
    make: Make, problem: Problem, trials: int, *, state: Callable[[int], TrialState]
) -> tuple[Study, list[Tree]]:
    """A study after so many trials, the given ways of ending among them; and its proposals."""
    study = optuna.create_study(direction="maximize")
    trees = []
    for number in range(trials):
        tree, trial = ask(study, make, problem, seed=number)
        trees.append(tree)
        end(study, trial, value(tree), state(number))
    return study, trees


def end(study: Study, trial: Trial, reached: float, state: TrialState) -> None:
    """Tell a trial, with the value where it came to its end."""
    if state is TrialState.PRUNED:
        trial.report(reached, 1)
    if state is not TrialState.RUNNING:
        study.tell(trial, reached if state is TrialState.COMPLETE else None, state=state)


def complete(_: int) -> TrialState:
    return TrialState.COMPLETE


def of_every_kind(number: int) -> TrialState:
    kinds = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
    return kinds[number % len(kinds)]
