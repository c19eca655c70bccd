"""What single-task networks make of the probe images, stage by stage."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from branchsearch.model.branched import BranchedNetwork

#: Images that pass through a network at once.
_AT_ONCE = 100


@torch.no_grad()
def stage_features(
    network: BranchedNetwork, images: np.ndarray, prepare: Callable[[np.ndarray], Tensor]
) -> list[Float[Tensor, "I _"]]:
    """Read the flattened features after every stage of a network of one task, in one pass.

    Args:
        network: Of one task, so that every stage has one copy.
        images: Shape [I, 3, H, W], uint8.
        prepare: From uint8 images to what the network takes.

    Returns:
        Shape [S] of [I, F]; F differs between stages.

    Raises:
        ValueError: The network has several tasks.
    """
    if len(network.tree.tasks) != 1:
        raise ValueError(f"features are read from a network of one task, not of {network.tree}")
    network.eval()
    chunks: list[list[Tensor]] = [[] for _ in network.stages]
    for start in range(0, len(images), _AT_ONCE):
        features = [prepare(images[start : start + _AT_ONCE])]
        for stage, kept in zip(network.stages, chunks, strict=True):
            features = stage(features)
            kept.append(features[0].flatten(start_dim=1))
    return [torch.cat(kept) for kept in chunks]


def affinity_per_stage(
    networks: Sequence[BranchedNetwork],
    images: np.ndarray,
    prepare: Callable[[np.ndarray], Tensor],
    measure: Callable[[Sequence[Tensor]], Tensor],
) -> np.ndarray:
    """Compare T single-task networks on the same images at each of S stages.

    Args:
        networks: One per task, with the same number of stages.
        images: The probe images, shape [I, 3, H, W], uint8.
        prepare: From uint8 images to what the networks take.
        measure: From one [I, F] matrix per task to their affinity, [T, T].

    Returns:
        Shape [S, T, T], in [-1, 1], float64.
    """
    per_task = [stage_features(network, images, prepare) for network in networks]
    stages = zip(*per_task, strict=True)
    return torch.stack([measure(stage) for stage in stages]).double().numpy()
