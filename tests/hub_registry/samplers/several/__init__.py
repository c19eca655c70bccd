"""A package with two samplers, one of which takes no seed."""

from optuna.samplers import RandomSampler


class Seeded(RandomSampler):
    """One."""


class Unseeded(RandomSampler):
    """Another."""

    def __init__(self) -> None:
        super().__init__()
