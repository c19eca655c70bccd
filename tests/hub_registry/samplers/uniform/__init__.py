"""A package as OptunaHub has them: one class, and what it needs."""

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from optunahub.samplers import SimpleBaseSampler


class UniformSampler(SimpleBaseSampler):
    """Every parameter uniformly; knows its parameters before any trial has them."""

    def __init__(
        self,
        search_space: dict[str, BaseDistribution],
        *,
        scale: float = 1.0,
        seed: int | None = None,
    ) -> None:
        super().__init__(search_space)
        if scale <= 0:
            raise ValueError(f"scale must be positive, not {scale}")
        self._random = RandomSampler(seed=np.random.RandomState(seed).randint(2**31))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {
            name: self._random.sample_independent(study, trial, name, values)
            for name, values in search_space.items()
        }

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401  # Optuna's signature
        return self._random.sample_independent(study, trial, param_name, param_distribution)
