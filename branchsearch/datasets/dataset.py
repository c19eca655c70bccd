"""What a data set is to everything above: named parts of images, with one label per task."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

#: Every data set has these parts, and no image is in two of them. Networks learn on ``train``, are
#: chosen on ``validation``, are judged once on ``test``, and are compared on ``probe``.
PARTS = ("train", "validation", "test", "probe")

#: The class number of a pixel that nobody labelled.
UNLABELLED = 255


@dataclass(frozen=True, slots=True)
class Label:
    """What the images are labelled with under one name.

    Attributes:
        kind: The task kind that learns it, as in ``branchsearch.task.KINDS``.
        classes: For segmentation: how many classes.
    """

    kind: str
    classes: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """N images and their labels; arrays may be memory-mapped, and are read only.

    Attributes:
        images: Shape [N, 3, H, W], uint8, RGB.
        targets: One array of N entries per label name. By kind: ``segmentation`` [N, H, W] uint8
            class numbers, ``UNLABELLED`` where there is none; ``depth`` [N, 1, H, W] float16, the
            natural logarithm of the distance; ``normals`` [N, 3, H, W] float16 unit vectors in
            camera coordinates (x right, y up, z towards the camera); ``edges`` [N, 1, H, W] uint8,
            1 on an edge. A float that nobody measured is NaN.
    """

    images: np.ndarray
    targets: Mapping[str, np.ndarray]

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
    """

    labels: Mapping[str, Label]
    parts: Mapping[str, Part]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: str
