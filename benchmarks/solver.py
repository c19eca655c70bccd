"""The exact front of all trees against enumeration, and how it grows with the tasks.

The reference lists every tree of 6 tasks over 4 stages (44,590) and adds its branches up; larger
spaces are solved alone, since nobody lists them: 8 tasks over 5 stages have 45,592,666 trees, 12
have 4e13. Scores are sums of random numbers per pair of tasks that share a stage; every copy of a
stage has one cost, as in a network. Every time is the best of several, with back-pointers and all
trees of the front; the numbers of the branches are looked up in mappings made before.
"""

import time
import tracemalloc
from collections.abc import Callable
from itertools import combinations
from random import Random

import numpy as np
import typer

from benchmarks.measure import MIB, say
from branchsearch.space.criterion import mean_of_worst
from branchsearch.space.lattice import widths_front
from branchsearch.space.points import Point
from branchsearch.space.solver import pareto_front
from branchsearch.space.space import Space
from branchsearch.space.tables import Branch, total

#: Seconds to stay under, by tasks over 5 stages.
_FLOORS = {8: 0.2, 10: 2.0, 12: 30.0}
_PRICES = (37, 111, 410, 1550, 6100)

_Table = dict[Branch, float]


def problem(tasks: int, stages: int) -> tuple[_Table, _Table, Space]:
    """Score, cost and space."""
    random = Random(tasks)
    space = Space.of([f"t{number:02}" for number in range(tasks)], stages)
    score: _Table = {}
    cost: _Table = {}
    for stage in range(stages):
        unlike = {pair: random.random() for pair in combinations(space.tasks, 2)}
        for size in range(1, tasks + 1):
            for members in combinations(space.tasks, size):
                branch = stage, frozenset(members)
                score[branch] = sum(unlike[pair] for pair in combinations(members, 2))
                cost[branch] = _PRICES[stage]
    return score, cost, space


def enumerated(score: _Table, cost: _Table, space: Space) -> list[tuple[float, float]]:
    """The front, by looking at every tree."""
    least: dict[float, float] = {}
    for tree in space:
        paid, scored = total(cost, tree), total(score, tree)
        least[paid] = min(scored, least.get(paid, scored))
    front: list[tuple[float, float]] = []
    for paid in sorted(least):
        if not front or least[paid] < front[-1][1] - 1e-9:
            front.append((paid, least[paid]))
    return front


def timed(run: Callable[[], object], times: int) -> float:
    """The least of several times, seconds."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def peak(run: Callable[[], object]) -> float:
    """The most memory that NumPy and Python hold at once, MiB."""
    tracemalloc.start()
    run()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / MIB


def main(*, quick: bool = False) -> None:
    """Measure; ``--quick`` only shows that it runs."""
    small = problem(*((4, 3) if quick else (6, 4)))

    def ours() -> list[Point]:
        return pareto_front(*small)

    expected = enumerated(*small)
    np.testing.assert_allclose([(p.cost, p.score) for p in ours()], expected)
    reference_seconds = timed(lambda: enumerated(*small), 1 if quick else 3)
    seconds = timed(ours, 5)
    ratio = reference_seconds / seconds
    trees = small[2].count()
    lines = [
        f"enumeration  {trees:16,} trees {reference_seconds:9.4f} s",
        f"solver       {trees:16,} trees {seconds:9.4f} s   {ratio:.0f} times as fast",
    ]
    figures: dict[str, str | float | bool] = {
        "name": "solver",
        "ratio": ratio,
        "seconds": seconds,
        "reference_seconds": reference_seconds,
    }
    reached = True
    for tasks, floor in ({5: 0.2} if quick else _FLOORS).items():
        large = problem(tasks, 5)
        took = timed(lambda given=large: pareto_front(*given), 3)  # type: ignore[misc]
        lines.append(
            f"solver       {large[2].count():16,} trees {took:9.4f} s   to stay under: {floor} s"
        )
        figures[f"seconds_{tasks}x5"] = took
        reached &= took < floor
        figures["peak_mib"] = peak(lambda given=large: pareto_front(*given))  # type: ignore[misc]
    lines.append(f"memory at {tasks} tasks: {figures['peak_mib']:.0f} MiB")
    for tasks in [5] if quick else [8, 10]:
        space = Space.of([f"t{number:02}" for number in range(tasks)], 5)
        drawn = np.random.default_rng(0).uniform(-1, 1, (5, tasks, tasks))
        score = mean_of_worst(space.tasks, (drawn + drawn.transpose(0, 2, 1)) / 2)
        took = timed(lambda given=(score, _PRICES, space): widths_front(*given), 1)  # type: ignore[misc]
        lines.append(f"mean of worst {space.count():15,} trees {took:9.4f} s")
        figures[f"criterion_seconds_{tasks}x5"] = took
    say(lines, {**figures, "reached": reached})


if __name__ == "__main__":
    typer.run(main)
