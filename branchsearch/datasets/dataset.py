"""What a data set is to everything above: named parts of images, with one label per task."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

#: Every data set has these parts, and no image is in two of them. Networks learn on ``train``, are
#: chosen on ``validation``, are judged once on ``test``, and are compared on ``probe``.
PARTS = ("train", "validation", "test", "probe")

#: The class number of a pixel that nobody labelled.
UNLABELLED = 255

#: The class number of an image that nobody classified.
UNCLASSIFIED = -1


@dataclass(frozen=True, slots=True)
class Label:
    """What the images are labelled with under one name.

    Attributes:
        kind: The task kind that learns it, as in ``branchsearch.task.KINDS``.
        classes: For classification and segmentation: how many classes.
        count: For attributes, regression and keypoints: how many of them.
        logarithmic: For depth: whether it is the natural logarithm of the distance, and not the
            distance. A zoom adds to the one and scales the other.
        swaps: For keypoints: the pairs of channels that change places in a mirror image, as the
            left and the right eye do.
        names: What the classes, attributes, numbers or keypoints are called, in order; empty where
            nobody says.
    """

    kind: str
    classes: int | None = None
    count: int | None = None
    logarithmic: bool = False
    swaps: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()


class Rows(Protocol):
    """What is read of an array: its shape, and the entries asked for; files may be behind it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""
        ...

    def __len__(self) -> int:
        """N."""
        ...

    def __getitem__(self, chosen: Any, /) -> Any:  # noqa: ANN401  # as numpy's arrays
        """The entries at an index, a slice or an array of positions."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """N images and their labels; arrays may be memory-mapped, and are read only.

    Attributes:
        images: Shape [N, 3, H, W], uint8, RGB.
        targets: One array of N entries per label name, by kind as in the table below. Every image
            has an entry, also one without a label: its entry is missing throughout, and so may all
            entries of a batch be.

    ================  ===============  =======  =======  =====================================
    kind              shape            type     missing  a number is
    ================  ===============  =======  =======  =====================================
    classification    [N]              int64    -1       the image's class, from 0
    attributes        [N, A]           float32  NaN      1 where the image has the attribute,
                                                         else 0
    regression        [N, D]           float32  NaN      any, in the label's own unit
    segmentation      [N, H, W]        uint8    255      the pixel's class, from 0
    depth             [N, 1, H, W]     float16  NaN      a distance, or its natural logarithm
    normals           [N, 3, H, W]     float16  NaN      part of a unit vector in camera
                                                         coordinates: x right, y up, z towards
                                                         the camera
    edges             [N, 1, H, W]     uint8    255      1 on an edge, else 0
    saliency          [N, 1, H, W]     uint8    255      1 on what stands out, else 0
    keypoints         [N, K, H, W]     float16  NaN      heat in [0, 1], highest where the
                                                         keypoint is; 0 throughout where it is
                                                         known to be out of sight
    ================  ===============  =======  =======  =====================================

    A pixel of ``normals`` is missing when any of its three numbers is.
    """

    images: Rows
    targets: Mapping[str, Rows]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Parts of one collection of images.

    Attributes:
        labels: What the images are labelled with, by name.
        parts: One part for every name in ``PARTS``.
        mean: The training images' mean colour (R, G, B), in [0, 1].
        std: The training images' standard deviation per colour, in [0, 1].
        fingerprint: A hash of the content; equal fingerprints mean equal images and labels.
        mirrors: Whether the labels of an image are those of its mirror image; a digit's are not.
        skipped: What was left out because it could not be read, and why.
    """

    labels: Mapping[str, Label]
    parts: Mapping[str, Part]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: str
    mirrors: bool = True
    skipped: tuple[str, ...] = ()

    def prepare(
        self, images: UInt8[np.ndarray, "batch 3 height width"] | Tensor
    ) -> Float[Tensor, "batch 3 height width"]:
        """What networks take: colours of mean 0 and standard deviation 1 over the training part.

        Args:
            images: Colours in [0, 255]. A tensor stays on its device.
        """
        if not isinstance(images, Tensor):
            # a memory-mapped part is read only, and PyTorch takes no such array
            images = torch.from_numpy(np.require(images, requirements="W"))
        mean = torch.tensor(self.mean, device=images.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(3, 1, 1)
        return (images.float() / 255 - mean) / std


class Collection(Protocol):
    """A data set as a spec names it: known before an image of it is read or drawn."""

    @property
    def labels(self) -> Mapping[str, Label]:
        """What the images are labelled with, by name."""
        ...

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """How many images each part has."""
        ...

    @property
    def content(self) -> str:
        """What changes whenever images or labels may have, though the arguments are the same.

        Empty where they follow from the arguments alone.
        """
        ...

    def open(self, folder: Path) -> Dataset:
        """Read the images, or make them in a folder of their own below the data root."""
        ...
