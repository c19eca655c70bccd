"""The learning rates of ``branchsearch.train.schedule``, as functions of the step."""

import math


def cosine(step: int, steps: int, *, warm_up: float) -> float:
    """The factor of a step from 0: up in a line over the warm-up, then down half a cosine."""
    rising = round(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def poly(step: int, steps: int, *, warm_up: float, power: float) -> float:
    """The factor of a step from 0: up in a line over the warm-up, then down as a power."""
    rising = round(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    left = 1 - (step - rising) / max(1, steps - rising)
    return float(left**power)


def constant(step: int, steps: int, *, warm_up: float) -> float:
    """The factor of a step from 0: up in a line over the warm-up, then 1."""
    rising = round(warm_up * steps)
    return (step + 1) / rising if step < rising else 1.0
