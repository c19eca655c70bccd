"""Which trials to stop early, decided from what is recorded alone: it survives a restart."""

from collections.abc import Callable, Sequence

Curve = Sequence[float]

#: From a trial's curve so far and the other trials' curves: whether to stop it.
Rule = Callable[[Curve, Sequence[Curve]], bool]


def never(curve: Curve, others: Sequence[Curve]) -> bool:  # noqa: ARG001  # the rules' signature
    """Let every trial run to its end."""
    return False


def halving(*, first: int, factor: int) -> Rule:
    """Asynchronous successive halving: at each rung only the best 1 / factor go on.

    Rungs stand after epoch first, first · factor, first · factor², ... A trial is compared with
    the trials that have reached the rung so far; while those are fewer than ``factor`` it goes on.

    Source: L. Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.

    Args:
        first: Epochs before the first comparison, at least 1.
        factor: At least 2.

    Returns:
        The rule; curves hold one number per epoch, higher is better.
    """
    if first < 1 or factor < 2:
        raise ValueError(f"needs first >= 1 and factor >= 2, got {first} and {factor}")

    def stop(curve: Curve, others: Sequence[Curve]) -> bool:
        epoch = len(curve)
        rung = first
        while rung < epoch:
            rung *= factor
        if rung != epoch:
            return False
        reached = [other[epoch - 1] for other in others if len(other) >= epoch]
        allowed = (len(reached) + 1) // factor
        better = sum(value > curve[-1] for value in reached)
        return allowed > 0 and better >= allowed

    return stop
