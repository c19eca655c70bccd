"""What a network needs while it runs: memory for activations, and time.

Unlike parameters and multiply-adds these do not add up exactly. Activations are what autograd keeps
for the backward pass of a training step, and what a part gives; two parts may keep the same one.
Time is measured part by part; a whole network also pays for going from part to part, and its parts
find caches in another state. ``docs/reference/backbones.md`` says how large the errors were.
"""

import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from branchsearch.model.heads import read
from branchsearch.tree import Tree

#: Batch norm refuses to learn from one value per channel.
_IMAGES = 2


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a network, or a part of one, needs while it runs.

    Attributes:
        activation_bytes: Kept for the backward pass, per image, in the precision of the weights.
        seconds: Of a forward pass over the batch that was measured, on the device it was.
    """

    activation_bytes: int
    seconds: float

    def __add__(self, other: "Footprint") -> "Footprint":
        return Footprint(
            self.activation_bytes + other.activation_bytes, self.seconds + other.seconds
        )

    def __mul__(self, copies: int) -> "Footprint":
        return Footprint(copies * self.activation_bytes, copies * self.seconds)


@dataclass(frozen=True, slots=True)
class FootprintTable:
    """What one copy of each stage and each task's head needs.

    Attributes:
        stages: Shape [S], input side first.
        heads: One entry per task.
    """

    stages: tuple[Footprint, ...]
    heads: Mapping[str, Footprint]

    def of(self, tree: Tree) -> Footprint:
        """About what a tree's whole network needs."""
        parts = [stage * width for stage, width in zip(self.stages, tree.widths, strict=True)]
        return sum((*parts, *(self.heads[task] for task in tree.tasks)), start=Footprint(0, 0.0))


def footprint_table(
    stages: Sequence[nn.Module],
    heads: Mapping[str, nn.Module],
    size: tuple[int, int],
    *,
    batch: int,
    device: torch.device,
    repeats: int,
) -> FootprintTable:
    """Measure one copy of each stage and each head.

    Args:
        stages: Of a backbone, in order; the first takes 3 channels.
        heads: One per task.
        size: Height and width of the images, in pixels.
        batch: Images per forward pass.
        device: Where it is measured.
        repeats: Forward passes, of which the fastest counts.
    """
    path: list[Tensor] = []
    features = torch.zeros(batch, 3, *size, device=device)
    found = []
    for stage in stages:
        found.append(footprint(stage, features, device=device, repeats=repeats))
        with torch.no_grad():
            features = deepcopy(stage).to(device).eval()(features)
        path.append(features)
    of_heads = {
        task: footprint(head, read(head, path), torch.Size(size), device=device, repeats=repeats)
        for task, head in heads.items()
    }
    return FootprintTable(tuple(found), of_heads)


def footprint(
    module: nn.Module,
    *inputs: Any,  # noqa: ANN401  # as it takes
    device: torch.device,
    repeats: int,
) -> Footprint:
    """Measure a module on inputs that are on the device; it is not changed."""
    seconds = forward_seconds(module, *inputs, device=device, repeats=repeats)
    return Footprint(activation_bytes(module, *inputs), seconds)


def activation_bytes(module: nn.Module, *inputs: Any) -> int:  # noqa: ANN401  # as it takes
    """Bytes per image that a training step keeps for this module, without running it.

    What it is given is not counted, since that is what another module gives; neither are weights.
    """
    ghost = deepcopy(module).to("meta").train()
    given = [_like(one) for one in inputs]
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # held, or another could get its number
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        after = ghost(*given)
    for tensor in _tensors(after):
        keep(tensor)
    others = [*ghost.parameters(), *ghost.buffers(), *_tensors(given)]
    for tensor in others:
        kept.pop(tensor.untyped_storage()._cdata, None)
    return sum(storage.nbytes() for storage in kept.values()) // _IMAGES


def forward_seconds(
    module: nn.Module,
    *inputs: Any,  # noqa: ANN401  # as it takes
    device: torch.device,
    repeats: int,
) -> float:
    """Seconds of a forward pass in evaluation mode: the fastest, for the others were disturbed."""
    copy, fastest = deepcopy(module).to(device).eval(), float("inf")
    with torch.no_grad():
        copy(*inputs)  # the first one also allocates
        for _ in range(repeats):
            _wait(device)
            began = time.perf_counter()
            copy(*inputs)
            _wait(device)
            fastest = min(fastest, time.perf_counter() - began)
    return fastest


def _like(given: Any) -> Any:  # noqa: ANN401  # tensors, lists of them, a size
    if isinstance(given, Tensor):
        ghost = torch.empty(_IMAGES, *given.shape[1:], device="meta", requires_grad=True)
        return ghost * 1  # a leaf may not be changed in place, and what another module gave may
    return [_like(one) for one in given] if isinstance(given, list) else given


def _tensors(found: Any) -> list[Tensor]:  # noqa: ANN401  # what modules take and give
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, list):
        return [tensor for one in found for tensor in _tensors(one)]
    return []


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
