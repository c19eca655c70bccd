"""Two handwritten digits side by side: small images with labels of several kinds.

The digits are the 1,797 scans of 8 x 8 pixels that come with scikit-learn: the test part of the
"Optical Recognition of Handwritten Digits" data set of E. Alpaydin and C. Kaynak, UCI Machine
Learning Repository, 1998.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from branchsearch.datasets.dataset import PARTS, Dataset, Label
from branchsearch.datasets.split import split
from branchsearch.datasets.store import stored

#: Raised when the pictures change, so that nobody reads another version's from disk.
VERSION = 1

LABELS = {
    "left": Label("classification", classes=10),
    "right": Label("classification", classes=10),
    "sum": Label("regression", count=1),
    "parity": Label("attributes", count=2, names=("left_is_odd", "right_is_odd")),
    "ink": Label("regression", count=1),
}

#: How many scans each part may use.
_SHARES = {"train": 0.6, "validation": 0.12, "test": 0.2, "probe": 0.08}

#: The least difference of two colours' mean, in [0, 1], so that a digit stands out.
_CONTRAST = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Scans:
    """Handwritten digits.

    Attributes:
        images: How dark each pixel is, in [0, 1].
        digits: Which digit each is.
    """

    images: Float32[np.ndarray, "N 8 8"]
    digits: UInt8[np.ndarray, " N"]

    def part(self, name: str) -> "Scans":
        """Those that a part may use; which these are depends on the scans alone."""
        hashes = [sha256(image.tobytes()).hexdigest() for image in self.images]
        parts = split(hashes, [None] * len(hashes), hashes, shares=_SHARES, seed=0)
        chosen = np.array(parts) == name
        return Scans(self.images[chosen], self.digits[chosen])


def scans() -> Scans:
    """The scans that come with scikit-learn."""
    # a second to import, and known to be there when a data set is made
    from sklearn.datasets import load_digits

    found = load_digits()
    return Scans((found.images / 16).astype(np.float32), found.target.astype(np.uint8))


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Pictures of two handwritten digits, made when they are first opened and kept in a folder.

    The labels are ``left`` and ``right`` (which digit), ``sum`` (of both), ``parity`` (whether the
    left and whether the right one is odd) and ``ink`` (how much of the two scans is written on, in
    [0, 1]). Parts share no scan. Image i of a part depends on the seed, the part and i alone.

    Attributes:
        size: Height and width of the images, in pixels, 16 to 256.
        train: Images to learn on; like the other three counts, at least 1.
        validation: Images to choose by.
        test: Images to judge on.
        probe: Images to compare features on.
        seed: Any number that is not negative.

    Raises:
        ValueError: A number is out of range, or scikit-learn is not installed.
    """

    size: int = 32
    train: int
    validation: int
    test: int
    probe: int
    seed: int

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 256:
            raise ValueError(f"size must be 16 to 256 pixels, got {self.size}")
        for part, count in self.counts.items():
            if count < 1:
                raise ValueError(f"{part} must be at least 1 image, got {count}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        if find_spec("sklearn") is None:
            raise ValueError("digits needs scikit-learn: pip install 'branchsearch[digits]'")

    @property
    def labels(self) -> Mapping[str, Label]:
        """What the images are labelled with, by name."""
        return LABELS

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        return self.size, self.size

    @property
    def counts(self) -> Mapping[str, int]:
        """How many images each part has."""
        return {part: getattr(self, part) for part in PARTS}

    @property
    def content(self) -> str:
        """Nothing: it follows from the arguments."""
        return ""

    def open(self, folder: Path) -> Dataset:
        """Open the pictures in a folder of their own below ``folder``; the first caller makes them.

        Raises:
            OSError: The folder cannot be written or read.
        """
        counts = "-".join(map(str, self.counts.values()))
        name = f"digits-v{VERSION}-{self.size}px-{counts}-seed{self.seed}"
        return replace(stored(folder / name, LABELS, self.counts, self._draw), mirrors=False)

    @cached_property
    def _scans(self) -> Mapping[str, Scans]:
        every = scans()
        return {part: every.part(part) for part in PARTS}

    def _draw(self, part: str, index: int) -> dict[str, np.ndarray]:
        key = np.random.SeedSequence(self.seed, spawn_key=(PARTS.index(part), index))
        return pair(self._scans[part], self.size, np.random.default_rng(key))


def pair(source: Scans, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two scans in one image, and its targets, as ``Part`` holds them."""
    chosen = rng.integers(0, len(source.images), 2)
    left, right = (int(digit) for digit in source.digits[chosen])
    ink = np.zeros((size, size), np.float32)
    half = size // 2
    for scan, start in zip(source.images[chosen], (0, size - half), strict=True):
        _write(ink[:, start : start + half], scan, rng)
    return {
        "images": _coloured(ink, rng),
        "left": np.asarray(left, np.int64),
        "right": np.asarray(right, np.int64),
        "sum": np.array([left + right], np.float32),
        "parity": np.array([left % 2, right % 2], np.float32),
        "ink": np.array([source.images[chosen].mean()], np.float32),
    }


def _write(
    where: Float32[np.ndarray, "H W"], scan: Float32[np.ndarray, "8 8"], rng: np.random.Generator
) -> None:
    """Put a scan somewhere, between two thirds of the width and all of it large."""
    height, width = where.shape
    high, wide = rng.integers(-(-2 * width // 3), width + 1, 2)
    top, left = rng.integers(0, height - high + 1), rng.integers(0, width - wide + 1)
    sized = Image.fromarray(scan).resize((int(wide), int(high)), Image.Resampling.BILINEAR)
    where[top : top + high, left : left + wide] = np.asarray(sized)


def _coloured(ink: Float32[np.ndarray, "H W"], rng: np.random.Generator) -> np.ndarray:
    """Ink of one colour on paper of another, with a sensor's noise, [3, H, W] uint8."""
    while True:  # two of three draws stand apart
        paper, pen = rng.random((2, 3), np.float32)
        if abs(paper.mean() - pen.mean()) >= _CONTRAST:
            break
    colours = paper[:, None, None] + ink * (pen - paper)[:, None, None]
    noise = 0.1 * rng.random() * (rng.random(colours.shape, np.float32) - np.float32(0.5))
    seen: np.ndarray = 255 * np.clip(colours + noise, 0, 1)
    return seen.astype(np.uint8)
