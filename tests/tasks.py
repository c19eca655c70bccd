"""A task of every kind, with targets and predictions for it."""

import torch
from torch import Tensor

from branchsearch.datasets.dataset import UNCLASSIFIED, UNLABELLED
from branchsearch.task import KINDS, METRICS, Head, Task

#: Classes of a task that says how many, and attributes, numbers or keypoints.
MANY = 3


def task_of(
    kind: str, metric: str | None = None, name: str = "t", head: Head | None = None
) -> Task:
    """A task of a kind, judged by its first metric unless another is named."""
    metric = metric or KINDS[kind].metrics[0]
    says = {KINDS[kind].says: MANY} if KINDS[kind].says else {}
    return Task(name, kind, metric, METRICS[metric], head=head, **says)


def target_of(kind: str, seed: int = 0, *, images: int = 12, size: int = 16) -> Tensor:
    """A target as the parts of data sets hold it, every label there."""
    draw = torch.Generator().manual_seed(seed)

    def numbers(most: int, *shape: int) -> Tensor:
        return torch.randint(most, shape, generator=draw)

    match kind:
        case "classification":
            return numbers(MANY, images)
        case "attributes":
            return numbers(2, images, MANY).float()
        case "regression":
            return torch.randn(images, MANY, generator=draw)
        case "segmentation":
            return numbers(MANY, images, size, size).byte()
        case "depth":
            return (1 + torch.rand(images, 1, size, size, generator=draw)).half()
        case "normals":
            directions = torch.randn(images, 3, size, size, generator=draw)
            return torch.nn.functional.normalize(directions).half()
        case "edges":
            return (numbers(4, images, 1, size, size) == 0).byte()
        case "saliency":
            return numbers(2, images, 1, size, size).byte()
        case "keypoints":
            return _heat(numbers(size, images, MANY, 2), size).half()
    raise AssertionError(f"tests know no target of kind {kind}")


def perfect(kind: str, target: Tensor) -> Tensor:
    """The prediction that a target asks for."""
    match kind:
        case "classification" | "segmentation":
            return 9 * torch.nn.functional.one_hot(target.long(), MANY).movedim(-1, 1).float()
        case "attributes" | "edges" | "saliency":
            return 18 * (target.float() - 0.5)
    return target.float()


def without(kind: str, target: Tensor, where: Tensor | slice) -> Tensor:
    """The target with some images' labels missing."""
    less = target.clone()
    missing = UNLABELLED if target.dtype is torch.uint8 else float("nan")
    less[where] = UNCLASSIFIED if kind == "classification" else missing
    return less


def _heat(places: Tensor, size: int) -> Tensor:
    """Round peaks of height 1, [images, K, size, size], at rows and columns [images, K, 2]."""
    axis = torch.arange(size)
    off = (axis - places.unsqueeze(-1)).square().float()
    return torch.exp(-(off[:, :, 0].unsqueeze(-1) + off[:, :, 1].unsqueeze(-2)) / 8)
