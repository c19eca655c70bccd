"""The learning rate over a training, as a factor of the recipe's."""

from collections.abc import Callable

import numpy as np

from branchsearch.train.recipe import Recipe, Schedule


def rates(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """The factor, in [0, 1], of each step from 0.

    It rises linearly to 1 over the warm-up, then falls along half a cosine, or as
    (1 - share of the steps gone)^power, or stays.
    """
    rising = round(recipe.warm_up * steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        gone = (step - rising) / max(1, steps - rising)
        match Schedule(recipe.schedule):
            case Schedule.COSINE:
                return 0.5 * (1 + float(np.cos(np.pi * (step - rising) / max(1, steps - rising))))
            case Schedule.POLY:
                return float((1 - gone) ** recipe.power)
            case Schedule.CONSTANT:
                return 1.0

    return factor
