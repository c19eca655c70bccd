"""The processes that train one network together, each on a share of every batch.

One process per device, in a group of ``torch.distributed`` that whoever starts them has made. What
a step computes is the same for any number of processes but for batch norm and rounding: losses are
divided by the number of labels in the whole batch, not in a process's share.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch.distributed
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Processes:
    """One of ``count`` processes that train together.

    Attributes:
        rank: Which one this is, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    def share_of(self, batch: np.ndarray) -> np.ndarray:
        """The part of a batch that this process takes; shares differ by at most one image."""
        return np.array_split(batch, self.count)[self.rank]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, the same in each of them; without gradient."""
        total = values.detach().clone()
        if self.count > 1:
            torch.distributed.all_reduce(total)
        return total

    def as_first(self, values: Iterable[Tensor]) -> None:
        """Give values, in place, what the first process has in them."""
        if self.count > 1:
            for value in values:
                torch.distributed.broadcast(value, src=0)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes, the same in each of them; without gradient."""
        return self.sum(values) / self.count if self.count > 1 else values.detach()


#: Where one process trains by itself.
ALONE = Processes()


def of_group() -> Processes:
    """This process in the default group of ``torch.distributed``; alone where there is none."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return ALONE
    return Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())
