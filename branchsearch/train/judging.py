"""How good a network is on a part of a data set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from branchsearch.datasets.dataset import Part
from branchsearch.datasets.loading import Batch, in_order

#: Images per step while judging, where no gradients are kept.
_JUDGED_AT_ONCE = 250

#: From a part and the positions of each batch to these batches, as networks and losses take them.
#: With the number of an epoch, images and targets are changed by chance, else not.
Load = Callable[[Part, Sequence[np.ndarray], int | None], Iterator[Batch]]


class Judge(Protocol):
    """What a metric accumulates over batches, as every ``torchmetrics.Metric`` does.

    A protocol, so that a spec can be checked without the second that torchmetrics takes to import.
    """

    def to(self, device: torch.device) -> Any:  # noqa: ANN401  # itself
        """Move what is accumulated."""
        ...

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Take a batch into account."""
        ...

    def compute(self) -> Tensor:
        """The metric of all batches together."""
        ...


@torch.no_grad()
def judge(
    network: nn.Module,
    *,
    names: Sequence[str],
    part: Part,
    load: Load,
    metrics: Mapping[str, Callable[[], Judge]],
    device: torch.device,
) -> dict[str, float]:
    """Each task's metric over all images of a part, in float32."""
    network.eval()
    judges = {name: metrics[name]().to(device) for name in names}
    for batch in load(part, in_order(len(part), _JUDGED_AT_ONCE), None):
        predicted = network(batch.images)
        for name in names:
            judges[name].update(predicted[name].float(), batch.targets[name])
    return {name: float(metric.compute()) for name, metric in judges.items()}
