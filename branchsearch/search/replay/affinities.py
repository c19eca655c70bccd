"""The affinity that stands beside a table."""

import zipfile
from pathlib import Path

import numpy as np

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.scale import mutual
from branchsearch.search.replay.table import CannotReplay, Table


def read_affinity(path: Path, table: Table) -> np.ndarray:
    """Read what ``branchsearch affinity`` writes.

    Returns:
        Shape [S, T, T], symmetric, in [-1, 1]; tasks in the table's order.

    Raises:
        CannotReplay: There is no such file, it is no file of an affinity, or it is of other tasks
            or stages than the table.
        OSError: It cannot be read.
    """
    try:
        affinity = Affinity.load(path)
    except (FileNotFoundError, IsADirectoryError):
        raise CannotReplay(f"no file {str(path)!r}") from None
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CannotReplay(f"{path} is no file of an affinity: {error}") from None
    if sorted(affinity.tasks) != list(table.tasks):
        raise CannotReplay(
            f"{path} is of {', '.join(affinity.tasks)}, and the table of {', '.join(table.tasks)}"
        )
    order = [affinity.tasks.index(task) for task in table.tasks]
    values: np.ndarray = mutual(affinity)[:, order][:, :, order]
    stages = len(table.trees[0].branches)
    if len(values) != stages:
        raise CannotReplay(f"{path} is of {len(values)} stages, and the table of {stages}")
    return values
