"""How alike the tasks are at every stage, as a value that is kept in a file."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from branchsearch.affinity.measure import Estimate
from branchsearch.files import write_whole


@dataclass(frozen=True)
class Affinity:
    """The affinity of T tasks at S stages by one measure.

    Attributes:
        measure: Its name in the catalog, as in ``rsa``.
        tasks: The T task names, in the order of the matrices.
        estimate: Values, intervals and chance levels, each of shape [S, T, T].
    """

    measure: str
    tasks: tuple[str, ...]
    estimate: Estimate

    def save(self, path: Path) -> None:
        """Write an .npz file, whole or not at all: affinity, low, high, chance, tasks, measure."""
        file = io.BytesIO()
        np.savez(
            file,
            affinity=self.estimate.values,
            low=self.estimate.low,
            high=self.estimate.high,
            chance=self.estimate.chance,
            tasks=np.array(self.tasks),
            measure=np.array(self.measure),
        )
        write_whole(path, file.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Affinity":
        """Read what ``save`` wrote; nothing in it is ever unpickled."""
        with np.load(path, allow_pickle=False) as kept:
            return cls(
                measure=str(kept["measure"]),
                tasks=tuple(map(str, kept["tasks"])),
                estimate=Estimate(kept["affinity"], kept["low"], kept["high"], kept["chance"]),
            )
