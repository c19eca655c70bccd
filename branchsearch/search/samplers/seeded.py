"""Samplers that others wrote, made anew for every proposal with the seed given."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from branchsearch.search.candidate import ranges
from branchsearch.search.problem import Problem


def seeded(
    kind: Callable[..., BaseSampler], arguments: Mapping[str, Any], problem: Problem, *, name: str
) -> Callable[[int], BaseSampler]:
    """A sampler of a class, for every seed.

    A class that wants to know the parameters beforehand, as ``search_space``, is told.

    Args:
        kind: The class.
        arguments: Of its constructor, beside ``seed``.
        problem: Says what the parameters are.
        name: For messages.

    Raises:
        ValueError: It cannot be made with these arguments, or takes no seed.
    """
    takes = inspect.signature(kind).parameters
    any_keyword = any(one.kind is one.VAR_KEYWORD for one in takes.values())
    if "seed" in arguments:
        raise ValueError(f"the seed of {name} comes from the job")
    if "seed" not in takes and not any_keyword:
        raise ValueError(f"{name} takes no seed, so a restarted search would go another way")
    if not any_keyword and (unknown := sorted(arguments.keys() - takes.keys())):
        raise ValueError(
            f"{name} takes no {', '.join(map(repr, unknown))}; "
            f"it takes {', '.join(other for other in takes if other != 'seed') or 'no arguments'}"
        )
    given = dict(arguments)
    if "search_space" in takes and "search_space" not in given:
        given["search_space"] = ranges(problem)

    def make(seed: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # whoever named it knows
            return kind(**given, seed=seed)

    try:
        make(0)
    except (TypeError, ValueError, ImportError) as error:  # Optuna says how to install what lacks
        raise ValueError(f"{name} cannot be made: {error}") from None
    return make
