"""Trees as numbers: for every task, with whom it shares each stage.

Shape letters: N = trees, T = tasks, S = stages, O = other tasks (at least 1), C = numbers beside
the tree, D = S · O + 1 + C.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from branchsearch.tree import Tree


@dataclass(frozen=True, eq=False)
class Pool:
    """Trees whose paths are kept once each: many trees have the same path for a task.

    Attributes:
        trees: M of them.
        unique_TPD: Every task's different paths; tasks that have fewer repeat their first.
        place_TM: Which of these a tree has.
    """

    trees: Sequence[Tree]
    unique_TPD: Tensor
    place_TM: Tensor

    @property
    def paths(self) -> Tensor:
        """Every tree's own, shape [T, M, D]."""
        width = self.unique_TPD.shape[2]
        return self.unique_TPD.gather(1, self.place_TM[..., None].expand(-1, -1, width))


def pool_of(trees: Sequence[Tree], affinity_STT: np.ndarray, beside_NC: np.ndarray) -> Pool:
    """Gather trees, at least one; arguments as of ``paths_TND``."""
    paths = paths_TND(trees, affinity_STT, beside_NC).numpy()
    uniques, places = [], []
    for rows_ND in paths:
        as_bytes = np.ascontiguousarray(rows_ND).view(np.dtype((np.void, rows_ND[0].nbytes)))
        _, first, place = np.unique(as_bytes[:, 0], return_index=True, return_inverse=True)
        uniques.append(rows_ND[first])
        places.append(place)
    most = max(map(len, uniques))
    padded = [np.concatenate([u, np.repeat(u[:1], most - len(u), axis=0)]) for u in uniques]
    return Pool(trees, torch.from_numpy(np.stack(padded)), torch.from_numpy(np.stack(places)))


def paths_TND(trees: Sequence[Tree], affinity_STT: np.ndarray, beside_NC: np.ndarray) -> Tensor:
    """What the kernel reads of trees over the same tasks and stages.

    Args:
        trees: N of them.
        affinity_STT: How alike tasks are; all equal where nothing is known.
        beside_NC: Numbers that were chosen beside each tree.

    Returns:
        Shape [T, N, D], float64: whether the task shares stage s with other task o, in {0, 1}; then
        how alike those are that it shares with, and then the numbers beside.
    """
    branches_NST = np.array([tree.branches for tree in trees], np.int16)
    shares_NSTT = branches_NST[..., :, None] == branches_NST[..., None, :]
    tasks = branches_NST.shape[2]
    if tasks == 1:
        shares_NSTO = np.zeros((*branches_NST.shape, 1))
        liking_NT = np.zeros((len(trees), 1))
    else:
        other_TT = ~np.eye(tasks, dtype=bool)
        shares_NSTO = shares_NSTT[:, :, other_TT].reshape(*branches_NST.shape, tasks - 1)
        liking_NT = _liking(shares_NSTT, affinity_STT, other_TT)
    shares_TNSO = np.moveaxis(shares_NSTO, 2, 0).astype(float)
    shares_TND = shares_TNSO.reshape(*shares_TNSO.shape[:2], -1)
    beside_TNC = np.broadcast_to(beside_NC, (len(shares_TND), *beside_NC.shape))
    return torch.from_numpy(
        np.concatenate([shares_TND, liking_NT.T[..., None], beside_TNC], axis=2)
    )


def _liking(shares_NSTT: np.ndarray, affinity_STT: np.ndarray, other_TT: np.ndarray) -> np.ndarray:
    """How alike those are that share, shape [N, T]; about 1 in size, 0 where affinity says nothing.

    Affinities count from their mean over all pairs and stages: those above speak for sharing, those
    below against it.
    """
    pairs_SP = affinity_STT[:, other_TT]
    spread = pairs_SP.std()
    if not np.isfinite(spread) or spread < 1e-12:
        return np.zeros((len(shares_NSTT), affinity_STT.shape[1]))
    centred_STT = np.where(other_TT, (affinity_STT - pairs_SP.mean()) / spread, 0.0)
    liking_NT = np.einsum("nstu,stu->nt", shares_NSTT, centred_STT)
    # a sum of S · O terms of size 1 that hardly cancel: stages of a pair are alike
    liking: np.ndarray = liking_NT / (affinity_STT.shape[0] * np.sqrt(affinity_STT.shape[1] - 1))
    return liking
