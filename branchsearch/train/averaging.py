"""A moving average of weights, the one that is judged and kept."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network that follows it with every ``update_parameters``, buffers as well.

    Args:
        network: What is followed.
        decay: Per update, in [0, 1); 0 copies.
    """
    return AveragedModel(network, multi_avg_fn=_towards(decay), use_buffers=True)


def _towards(decay: float) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    def average(kept: _Tensors, now: _Tensors, updates: Tensor | int) -> None:
        # a fresh average forgets faster, or the first weights would stay in it for long
        keep = min(decay, float(updates) / (10 + float(updates)))
        if kept[0].is_floating_point():
            torch._foreach_lerp_(kept, now, 1 - keep)
        else:
            torch._foreach_copy_(kept, now)

    return average
