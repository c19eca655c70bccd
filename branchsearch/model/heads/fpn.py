"""A head that joins the features of every stage, from coarse to fine.

Source: T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, section 3, for
the way down; A. Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019, section 3.1, for
the sum of all levels that predicts every pixel. One convolution per level stands for its several.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FPNHead(nn.Module):
    """A prediction for every pixel from the features of every stage on the task's own way.

    Args:
        channels: Channels of the features of each stage, input side first.
        outputs: Channels of the prediction.
        width: Channels of every level.

    Raises:
        ValueError: The width is below 1.
    """

    reads_path = True

    def __init__(self, channels: Sequence[int], outputs: int, *, width: int = 128) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"needs a width of at least 1, got {width}")
        self.channels, self.outputs, self.width = tuple(channels), outputs, width
        self.lateral = nn.ModuleList(nn.Conv2d(inner, width, 1) for inner in self.channels)
        self.smooth = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            for _ in self.channels
        )
        self.predict = nn.Conv2d(width, outputs, 1)

    def forward(self, features: list[Tensor], size: torch.Size) -> Tensor:
        """From [batch, channels[s], h[s], w[s]] of each stage s to [batch, outputs, *size]."""
        levels = [lateral(maps) for maps, lateral in zip(features, self.lateral, strict=True)]
        for number in reversed(range(len(levels) - 1)):
            coarser = levels[number + 1]
            levels[number] = levels[number] + self._to(levels[number].shape[-2:], coarser)
        finest = levels[0].shape[-2:]
        seen = [smooth(level) for smooth, level in zip(self.smooth, levels, strict=True)]
        total = torch.stack([self._to(finest, maps) for maps in seen]).sum(dim=0)
        return self._to(size, self.predict(total))

    def _to(self, size: torch.Size, maps: Tensor) -> Tensor:
        return nn.functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
