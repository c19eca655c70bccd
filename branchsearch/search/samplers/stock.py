"""Optuna's own samplers, on the parameters that name a tree.

Each function takes the problem, as all of the catalog's do, and makes the sampler of a seed.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from branchsearch.search.problem import Problem
from branchsearch.search.samplers.seeded import seeded

#: Samplers that make no sense here, and what does.
_REFUSED = {
    "BruteForceSampler": "tries all parameters, of which several name one tree; take exhaustive",
    "GridSampler": "tries all parameters, of which several name one tree; take exhaustive",
    "PartialFixedSampler": "wraps another sampler; limits of the space fix parts of a tree",
}


def tpe(problem: Problem, *, n_startup_trials: int = 6) -> Callable[[int], TPESampler]:  # noqa: ARG001
    """Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), Optuna's default.

    Args:
        problem: Not needed.
        n_startup_trials: Finished trials before it begins to learn; random draws until then.
    """
    return lambda seed: TPESampler(seed=seed, n_startup_trials=n_startup_trials)


def random(problem: Problem) -> Callable[[int], RandomSampler]:  # noqa: ARG001
    """Every parameter uniformly (which is not uniform over trees)."""
    return lambda seed: RandomSampler(seed=seed)


def nsga2(problem: Problem, *, population_size: int = 20) -> Callable[[int], NSGAIISampler]:  # noqa: ARG001
    """NSGA-II (Deb et al., 2002).

    Args:
        problem: Not needed.
        population_size: Trials in one generation.
    """
    return lambda seed: NSGAIISampler(seed=seed, population_size=population_size)


def stock_names() -> list[str]:
    """The samplers that this version of Optuna has and that search trees."""
    kinds = ((name, getattr(optuna.samplers, name)) for name in optuna.samplers.__all__)
    return [
        name
        for name, kind in kinds
        if isinstance(kind, type) and name.endswith("Sampler")
        if issubclass(kind, BaseSampler) and not name.startswith("Base") and name not in _REFUSED
    ]


def optuna_sampler(
    name: str, problem: Problem, /, *, arguments: Mapping[str, Any] | None = None
) -> Callable[[int], BaseSampler]:
    """Any sampler of Optuna under its own name, such as ``GPSampler``.

    Args:
        name: Of the class in ``optuna.samplers``.
        problem: What is searched.
        arguments: Of its constructor, beside the seed; Optuna's defaults otherwise.

    Raises:
        ValueError: There is no such sampler, or it cannot be made with these arguments.
    """
    there_are = stock_names()
    if name in _REFUSED:
        raise ValueError(f"optuna:{name} {_REFUSED[name]}")
    if name not in there_are:
        close = get_close_matches(name, there_are, n=1)
        meant = f"; did you mean optuna:{close[0]}?" if close else ""
        raise ValueError(f"Optuna has no {name}; it has {', '.join(there_are)}{meant}")
    kind = getattr(optuna.samplers, name)
    return seeded(kind, arguments or {}, problem, name=f"optuna:{name}")
