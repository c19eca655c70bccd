"""From a backbone's features to one task's prediction.

A head is built from channels and outputs, and any keyword arguments of its own that a spec may
give. It is called with features and the image's (height, width). Most read the last stage's
features: ``in_channels`` is a number, and features are one tensor. A head whose class says
``reads_path = True`` reads the features of every stage on its task's own way through the tree,
input side first: it takes a list of both. One that gives numbers for an image and not for its
pixels says ``gives_map = False``.

A head that can be exported keeps each constructor argument as an attribute of the same name, and
its class imports nothing but torch.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from branchsearch.model.heads.aspp import ASPPHead
from branchsearch.model.heads.dense import DenseHead
from branchsearch.model.heads.fpn import FPNHead
from branchsearch.model.heads.linear import LinearHead

__all__ = ["ASPPHead", "DenseHead", "FPNHead", "LinearHead", "gives_map", "read", "reads_path"]


def reads_path(head: Callable[..., Any]) -> bool:
    """Whether a head reads every stage on its task's way, and not the last alone."""
    return bool(getattr(head, "reads_path", False))


def gives_map(head: Callable[..., Any]) -> bool:
    """Whether a head predicts numbers for every pixel, and not for the image."""
    return bool(getattr(head, "gives_map", True))


def read(head: nn.Module, path: Sequence[Tensor]) -> Tensor | list[Tensor]:
    """What a head takes of the features of every stage on its task's way, input side first."""
    return list(path) if reads_path(head) else path[-1]
