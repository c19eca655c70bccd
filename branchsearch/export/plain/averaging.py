"""The moving average of ``branchsearch.train.averaging``."""

import torch
from torch import nn


@torch.no_grad()
def follow(kept: nn.Module, network: nn.Module, *, updates: int, decay: float) -> None:
    """Move the kept weights towards the network's, as they are after some updates before."""
    # a fresh average forgets faster, or the first weights would stay in it for long
    keep = min(decay, updates / (10 + updates))
    for old, new in zip(kept.state_dict().values(), network.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - keep)
        else:
            old.copy_(new)
