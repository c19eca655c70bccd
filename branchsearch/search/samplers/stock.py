"""Optuna's own samplers, on the parameters that name a tree.

Each function takes the problem, as all of the catalog's do, and makes the sampler of a seed.
"""

from collections.abc import Callable

from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

from branchsearch.search.problem import Problem


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
