"""Early stopping replayed on recorded curves: what it saves, and what it costs.

Shape letters: E = epochs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from branchsearch.search.early_stopping import Curve, Rule
from branchsearch.search.replay.table import CannotReplay, Table


@dataclass(frozen=True, slots=True)
class Stopping:
    """What a rule did to searches, all in [0, 1] but the regret.

    Attributes:
        stopped: The part of the trials that it stopped.
        epochs: The part of all epochs that were trained nevertheless.
        lost: The part of the searches in which it stopped the tree that would have won.
        regret: By how much the best tree that was left is worse than that, on average over all
            searches, in the unit of the scores.
    """

    stopped: float
    epochs: float
    lost: float
    regret: float


def replay_stopping(table: Table, rule: Rule, *, trials: int, repeats: int, seed: int) -> Stopping:
    """Train random trees one after the other, and let a rule stop them.

    A tree that is stopped is judged by what its row says it would have come to.

    Args:
        table: Has curves.
        rule: Asked after every epoch but the last.
        trials: Trees in a search.
        repeats: Searches.
        seed: Of the order of the trees and of the rows.

    Raises:
        CannotReplay: There are no curves, or fewer trees than trials.
    """
    if not table.curves.shape[1]:
        raise CannotReplay("the table has no columns 'delta:<epoch>', and so no curves")
    if not 1 <= trials <= len(table.trees):
        raise CannotReplay(f"{trials} trials of a table of {len(table.trees)} trees")
    scores = table.scores.mean(axis=1)
    epochs, lost, regret = [], [], []
    for repeat in range(repeats):
        random = np.random.default_rng((seed, repeat))
        order = random.permutation(len(table.trees))[:trials]
        rows = [int(random.choice(table.rows[number])) for number in order]
        trained = _epochs(table.curves[rows].tolist(), rule)
        finished = trained == table.curves.shape[1]
        reached = scores[rows]
        epochs.append(trained)
        lost.append(not finished[reached.argmax()])
        regret.append(reached.max() - reached[finished].max(initial=reached.min()))
    return Stopping(
        stopped=float(np.mean(np.array(epochs) < table.curves.shape[1])),
        epochs=float(np.mean(epochs) / table.curves.shape[1]),
        lost=float(np.mean(lost)),
        regret=float(np.mean(regret)),
    )


def _epochs(curves: Sequence[Curve], rule: Rule) -> np.ndarray:
    """How many epochs each trial trains, in turn; each knows the curves of those before it."""
    told: list[Curve] = []
    for curve in curves:
        asked = (curve[:epoch] for epoch in range(1, len(curve)))
        told.append(next((so_far for so_far in asked if rule(so_far, told)), curve))
    return np.array([len(curve) for curve in told])
