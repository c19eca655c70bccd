"""Early stopping by forecast: a trial ends when it will hardly become the best.

Where a curve will end is forecast from how the finished ones went on after the same epoch: the
mean of what they still gained, with the spread of these gains. A trial ends when the chance that it
beats the best finished one is small.

Source: the rule to end a training by its chance to beat the best is T. Domhan et al., "Speeding Up
Automatic Hyperparameter Optimization of Deep Neural Networks by Extrapolation of Learning Curves",
IJCAI 2015; to forecast from earlier trainings' curves instead of from a formula for curves is B.
Baker et al., "Accelerating Neural Architecture Search using Performance Prediction", 2017. Of
theirs we take the simplest forecast, one number per finished curve, since there are a dozen.
"""

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev

from scipy.special import stdtr

from branchsearch.search.early_stopping import Curve, Rule

#: Finished curves below which nothing is forecast: the spread of fewer is hardly known.
FEWEST = 4


def learning_curve(*, first: int, chance: float, epochs: int) -> Rule:
    """Stop a trial whose chance to beat the best finished one is below ``chance``.

    While fewer than ``FEWEST`` trials are finished every trial goes on. The forecast is Student's t
    with the degrees of freedom that so few gains leave, so that it is wide where little is known.

    Args:
        first: Epochs before the first forecast, at least 1.
        chance: In (0, 1); 0.05 is what Domhan et al. take.
        epochs: Of a finished trial.

    Returns:
        The rule; curves hold one number per epoch, higher is better.
    """
    if first < 1 or not 0 < chance < 1:
        raise ValueError(f"needs first >= 1 and 0 < chance < 1, got {first} and {chance}")

    def stop(curve: Curve, others: Sequence[Curve]) -> bool:
        epoch = len(curve)
        finished = [other for other in others if len(other) >= epochs]
        if not first <= epoch < epochs or len(finished) < FEWEST:
            return False
        best = max(other[epochs - 1] for other in finished)
        gains = [other[epochs - 1] - other[epoch - 1] for other in finished]
        return chance_to_beat(best, curve[-1], gains) < chance

    return stop


def chance_to_beat(best: float, now: float, gains: Curve) -> float:
    """The chance that a curve ends above the best one.

    Args:
        best: Where that ended.
        now: Where the curve is.
        gains: What each of at least two others has gained from here to its end.

    Returns:
        In [0, 1]: of Student's t for one more gain, whose mean and spread are estimated.
    """
    lacks = best - now - fmean(gains)
    spread = stdev(gains) * sqrt(1 + 1 / len(gains))
    if spread == 0:  # all went on alike: there is nothing to guess
        return float(lacks <= 0)
    return float(stdtr(len(gains) - 1, -lacks / spread))
