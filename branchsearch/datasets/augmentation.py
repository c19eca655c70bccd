"""Chance changes of an image and of all its targets together: mirror, zoom, colours.

What is drawn for an image depends on the seed, the epoch and the image's position in its part, and
not on the batch it comes in, the device, or how many processes share the work.

A zoom by z shows a window of 1/z of the image's height and width at full size, as if everything
stood z times nearer along the line of sight: the depth d becomes d / z, and a surface's normal
(x, y, n) the unit vector along (x, y, z n). A window off the centre would call for a turn of the
camera too; the normals do not follow that, as they do not in the field.

Source: D. Eigen, C. Puhrsch and R. Fergus, "Depth Map Prediction from a Single Image using a
Multi-Scale Deep Network", NIPS 2014, section 3.4; the rule for normals is derived here.

Shape letters: N = images of a part, B = images of a batch, C = channels, H, W = height and width,
D = uniform draws per image.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, UInt8
from torch import Tensor

from branchsearch.datasets.dataset import Label

#: Uniform draws for one image: mirror, zoom, row, column, brightness, contrast, saturation.
_DRAWS = 7

#: Kinds whose targets are maps that lie over the image.
MAPS = frozenset({"segmentation", "depth", "normals", "edges", "saliency", "keypoints"})


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much images may change.

    Attributes:
        flip: Chance, in [0, 1], that an image is mirrored left to right.
        zoom: The largest zoom, at least 1; zooms are spread evenly from 1 to it, windows anywhere.
        colour: The largest part, in [0, 1), by which brightness, contrast and saturation each rise
            or fall.

    Raises:
        ValueError: A number is out of range.
    """

    flip: float = 0.0
    zoom: float = 1.0
    colour: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip is a chance in [0, 1], got {self.flip}")
        if not 1 <= self.zoom < float("inf"):
            raise ValueError(f"zoom must be at least 1, got {self.zoom}")
        if not 0 <= self.colour < 1:
            raise ValueError(f"colour must be in [0, 1), got {self.colour}")


def draws(count: int, *, seed: int, epoch: int) -> Float64[np.ndarray, "N D"]:
    """What chance says to every image of a part in an epoch, in [0, 1)."""
    return np.random.default_rng([seed, epoch, _DRAWS]).random((count, _DRAWS))


def augment(
    images: UInt8[Tensor, "B 3 H W"],
    targets: Mapping[str, Tensor],
    labels: Mapping[str, Label],
    augmentation: Augmentation,
    drawn: Float64[np.ndarray, "B D"],
) -> tuple[Float[Tensor, "B 3 H W"], dict[str, Tensor]]:
    """Change images and targets alike.

    Args:
        images: RGB.
        targets: By label name, as a ``Part`` holds them.
        labels: Of every target.
        augmentation: How much.
        drawn: These images' rows of ``draws``.

    Returns:
        Images in [0, 255], and the targets; those that are floats come as float32.
    """
    flip, zoom, row, column, *colours = torch.from_numpy(drawn.T).float().to(images.device)
    window = _Window(flip < augmentation.flip, 1 + (augmentation.zoom - 1) * zoom, row, column)
    looked_at = window.smooth(images.float())
    changed = {
        name: window.target(target, labels[name]) if labels[name].kind in MAPS else target
        for name, target in targets.items()
    }
    factors = [1 + augmentation.colour * (2 * draw - 1) for draw in colours]
    return _coloured(looked_at, *factors) if augmentation.colour else looked_at, changed


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """Which part of each image is seen, and which way round.

    Attributes:
        flipped: Whether it is mirrored.
        zoom: By how much it is enlarged, at least 1.
        row: Where it stands, from 0 (top) to 1 (bottom).
        column: The same, from left to right.
    """

    flipped: Bool[Tensor, " B"]
    zoom: Float[Tensor, " B"]
    row: Float[Tensor, " B"]
    column: Float[Tensor, " B"]

    def target(self, target: Tensor, label: Label) -> Tensor:
        """A map of any kind through the window."""
        match label.kind:
            case "segmentation":
                return self.sharp(target[:, None])[:, 0]
            case "depth":
                return self._nearer(self.sharp(target).float(), label)
            case "normals":
                return self._turned(self.sharp(target).float())
            case "keypoints":
                return self._exchanged(self.smooth(target.float()), label)
            case _:
                return self.sharp(target)

    def sharp(self, maps: Tensor) -> Tensor:
        """Each pixel takes the value of the nearest one, of maps [B, C, H, W]."""
        rows, columns = self._places(maps)
        return _taken(maps, (rows + 0.5).floor(), (columns + 0.5).floor())

    def smooth(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Each pixel takes the mean of the four nearest ones, by nearness."""
        rows, columns = self._places(maps)
        upper, left = rows.floor(), columns.floor()
        down, right = (rows - upper)[:, None, :, None], (columns - left)[:, None, None, :]
        if not self._moves():  # a mirror image alone needs no means
            return _taken(maps, upper, left)
        above = _taken(maps, upper, left).lerp(_taken(maps, upper, left + 1), right)
        below = _taken(maps, upper + 1, left).lerp(_taken(maps, upper + 1, left + 1), right)
        return above.lerp(below, down)

    def _moves(self) -> bool:
        return bool((self.zoom != 1).any())

    def _places(self, maps: Tensor) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B W"]]:
        """Where each row and column of the result is found, in pixels."""
        rows = self._along(maps.shape[-2], self.row)
        columns = self._along(maps.shape[-1], self.column)
        return rows, torch.where(self.flipped[:, None], columns.flip(1), columns)

    def _along(self, length: int, start: Float[Tensor, " B"]) -> Float[Tensor, "B length"]:
        centres = torch.arange(length, device=start.device) + 0.5
        first = start * (length - length / self.zoom)
        places: Tensor = first[:, None] + centres / self.zoom[:, None] - 0.5
        return places.clamp(0, length - 1)

    def _nearer(self, depths: Float[Tensor, "B 1 H W"], label: Label) -> Float[Tensor, "B 1 H W"]:
        zoom = self.zoom.view(-1, 1, 1, 1)
        return depths - zoom.log() if label.logarithmic else depths / zoom

    def _turned(self, normals: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        factors = torch.ones(len(normals), 3, device=normals.device)
        factors[:, 0] -= 2 * self.flipped
        factors[:, 2] = self.zoom
        return torch.nn.functional.normalize(normals * factors[:, :, None, None], dim=1)

    def _exchanged(self, maps: Float[Tensor, "B C H W"], label: Label) -> Float[Tensor, "B C H W"]:
        order = torch.arange(maps.shape[1], device=maps.device)
        for left, right in label.swaps:
            order[[left, right]] = order[[right, left]]
        return torch.where(self.flipped.view(-1, 1, 1, 1), maps[:, order], maps)


def _taken(maps: Tensor, rows: Float[Tensor, "B H"], columns: Float[Tensor, "B W"]) -> Tensor:
    """The pixels of maps [B, C, H, W] at every crossing of these rows and columns."""
    batch, channels, height, width = maps.shape
    rows = rows.long().clamp(max=height - 1)[:, None, :, None]
    columns = columns.long().clamp(max=width - 1)[:, None, None, :]
    by_row = maps.gather(2, rows.expand(batch, channels, height, width))
    return by_row.gather(3, columns.expand(batch, channels, height, width))


def _coloured(
    images: Float[Tensor, "B 3 H W"],
    brightness: Float[Tensor, " B"],
    contrast: Float[Tensor, " B"],
    saturation: Float[Tensor, " B"],
) -> Float[Tensor, "B 3 H W"]:
    """Images times a factor, spread about their mean grey, and drawn out of their own greys."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device)  # of ITU-R BT.601
    images = images * brightness.view(-1, 1, 1, 1)
    grey = torch.einsum("bchw,c->bhw", images, weights)[:, None]
    middle = grey.mean(dim=(2, 3), keepdim=True)
    images = middle.lerp(images, contrast.view(-1, 1, 1, 1))
    grey = middle.lerp(grey, contrast.view(-1, 1, 1, 1))
    return grey.lerp(images, saturation.view(-1, 1, 1, 1)).clamp(0, 255)
