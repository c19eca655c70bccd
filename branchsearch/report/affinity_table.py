"""Affinities as rows of a table: one per pair and stage, or one per stage."""

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from math import isfinite
from statistics import fmean
from typing import Any

import numpy as np

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.scale import is_known, is_mutual
from branchsearch.report.affinity_maps import doubtful


def entries(affinities: Sequence[Affinity]) -> Iterator[dict[str, Any]]:
    """Every two tasks at every stage; both ways round where a measure has directions.

    Yields:
        ``measure``, ``stage``, ``task``, ``with`` (how well sharing the stage with that one suits
        the task), ``affinity``, ``low``, ``high``, ``chance``; None where that is not known.
    """
    for affinity in affinities:
        found = affinity.estimate
        for stage in range(len(found.values)):
            for i, j in _places(affinity):
                yield {
                    "measure": affinity.measure,
                    "stage": stage,
                    "task": affinity.tasks[i],
                    "with": affinity.tasks[j],
                    "affinity": _known(found.values[stage, i, j]),
                    "low": _known(found.low[stage, i, j]),
                    "high": _known(found.high[stage, i, j]),
                    "chance": _known(found.chance[stage, i, j]),
                }


def stages(affinities: Sequence[Affinity]) -> Iterator[dict[str, Any]]:
    """Every stage in short.

    Yields:
        ``measure``, ``stage``, ``mean``, ``most_alike`` and ``least_alike`` (as in ``a, b: 0.41``),
        ``may_be_chance`` (as in ``2 of 6``); None where that is not known.
    """
    for affinity in affinities:
        marks, places = doubtful(affinity), _places(affinity)
        sure = is_known(affinity, affinity.estimate.chance)
        for stage, values in enumerate(affinity.estimate.values):
            by_value = sorted((float(values[at]), at) for at in places if isfinite(values[at]))
            yield {
                "measure": affinity.measure,
                "stage": stage,
                "mean": fmean(value for value, _ in by_value) if by_value else None,
                "most_alike": _named(affinity, by_value[-1:]),
                "least_alike": _named(affinity, by_value[:1]),
                "may_be_chance": f"{sum(bool(marks[stage][at]) for at in places)} of {len(places)}"
                if sure
                else None,
            }


def _places(affinity: Affinity) -> list[tuple[int, int]]:
    tasks = range(len(affinity.tasks))
    return list((combinations if is_mutual(affinity) else permutations)(tasks, 2))


def _named(affinity: Affinity, found: Sequence[tuple[float, tuple[int, int]]]) -> str | None:
    for value, (i, j) in found:
        return f"{affinity.tasks[i]}, {affinity.tasks[j]}: {value:.3g}"
    return None


def _known(number: np.floating[Any]) -> float | None:
    return float(number) if isfinite(number) else None
