"""How good a network is on a part of a data set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from branchsearch.datasets.dataset import Part
from branchsearch.datasets.loading import Batch, in_order
from branchsearch.train.processes import ALONE, Processes
from branchsearch.train.recipe import Recipe

#: Images that are judged at once, at most: more are no faster.
_MOST_AT_ONCE = 250

#: From a part and the positions of each batch to these batches, as networks and losses take them.
#: With the number of an epoch, images and targets are changed by chance, else not.
Load = Callable[[Part, Sequence[np.ndarray], int | None], Iterator[Batch]]


class Judge(Protocol):
    """What a metric accumulates over batches, as every ``torchmetrics.Metric`` does.

    A protocol, so that a spec can be checked without the second that torchmetrics takes to import.
    """

    #: Whether what several processes have seen counts together.
    sync_on_compute: bool

    def to(self, device: torch.device) -> Any:  # noqa: ANN401  # itself
        """Move what is accumulated."""
        ...

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Take a batch into account."""
        ...

    def compute(self) -> Tensor:
        """The metric of all batches together."""
        ...


def images_at_once(recipe: Recipe, processes: Processes = ALONE) -> int:
    """How many images a training judges at once: no more than it learns from, which needs more."""
    parts = recipe.accumulate * processes.count
    return max(1, min(_MOST_AT_ONCE, recipe.batch_size // parts))


@torch.no_grad()
def judge(
    network: nn.Module,
    *,
    names: Sequence[str],
    part: Part,
    load: Load,
    metrics: Mapping[str, Callable[[], Judge]],
    device: torch.device,
    at_once: int = _MOST_AT_ONCE,
) -> dict[str, float]:
    """Each task's metric over all images of a part, in float32, so many of them at once."""
    network.eval()
    judges = {name: metrics[name]().to(device) for name in names}
    for metric in judges.values():
        metric.sync_on_compute = False  # of several processes, each judges all images
    for batch in load(part, in_order(len(part), at_once), None):
        predicted = network(batch.images)
        for name in names:
            judges[name].update(predicted[name].float(), batch.targets[name])
    return {name: float(metric.compute()) for name, metric in judges.items()}
