"""What the features of a model at a cut are, told by their shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Literal, Self

from torch import nn

from branchsearch.backbones.backbone import Kind
from branchsearch.backbones.chain import NotCuttable


@dataclass(frozen=True, slots=True)
class Form:
    """How a model holds its features at a cut.

    Attributes:
        layout: ``map``, [batch, channels, h, w]; ``channels_last``, [batch, h, w, channels]; or
            ``tokens``, [batch, tokens, channels].
        channels: Channels.
        stride: Input pixels per feature pixel, or per patch.
        grid: Rows and columns of patches; only of tokens that are given as a map.
    """

    layout: Literal["map", "channels_last", "tokens"]
    channels: int
    stride: int
    grid: tuple[int, int] | None = None

    @property
    def kind(self) -> Kind:
        """What a stage makes of it."""
        return "tokens" if self.layout == "tokens" and self.grid is None else "map"

    @classmethod
    def of(
        cls, shape: Sequence[int], model: nn.Module, size: tuple[int, int], *, last: bool
    ) -> Self:
        """Read the form off features' shape.

        Args:
            shape: Of the features.
            model: Of timm; says whether channels come last and how many tokens are no patches.
            size: Of the images that gave these features, in pixels.
            last: Whether the whole model ends here: heads take a map.

        Raises:
            NotCuttable: They are neither a map nor tokens of patches.
        """
        if len(shape) == 4:
            if getattr(model, "output_fmt", None) == "NHWC":
                _, rows, columns, channels = shape
                return cls("channels_last", channels, _stride(shape, size, (rows, columns)))
            _, channels, rows, columns = shape
            return cls("map", channels, _stride(shape, size, (rows, columns)))
        if len(shape) != 3:
            raise NotCuttable(f"features of shape {list(shape)} are neither a map nor tokens")
        _, tokens, channels = shape
        patches = tokens - int(getattr(model, "num_prefix_tokens", 0))
        grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
        if grid is None or grid[0] * grid[1] != patches:
            grid = (isqrt(patches),) * 2
        if grid[0] * grid[1] != patches:
            raise NotCuttable(f"{patches} patches of a {size[0]}x{size[1]} image are no grid")
        rows, columns = map(int, grid)
        stride = _stride(shape, size, (rows, columns))
        return cls("tokens", channels, stride, (rows, columns) if last else None)


def _stride(shape: Sequence[int], size: tuple[int, int], features: tuple[int, int]) -> int:
    across, down = (round(a / b) for a, b in zip(size, features, strict=True))
    if across != down:
        raise NotCuttable(f"features of shape {list(shape)} are not a {size[0]}x{size[1]} image's")
    return across
