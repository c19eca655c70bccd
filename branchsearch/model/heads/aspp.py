"""A head that looks at several distances around each place.

Source: L.-C. Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017,
section 3.3 ("atrous spatial pyramid pooling" with the image's mean). Without its dropout.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ASPPHead(nn.Module):
    """A prediction for every pixel from 3x3 convolutions at several rates, side by side.

    Beside them a 1x1 convolution and the mean over the image; all are put together by a 1x1
    convolution, predicted from and upsampled.

    Args:
        in_channels: Channels of the features.
        outputs: Channels of the prediction.
        width: Channels of every branch, and of what they are put together to.
        rates: Feature pixels between the taps of each 3x3 convolution. The paper's are made for
            features of 33 x 33 and more; of smaller ones, outer taps see only padding.

    Raises:
        ValueError: A number below 1.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        *,
        width: int = 256,
        rates: Sequence[int] = (6, 12, 18),
    ) -> None:
        super().__init__()
        if min(width, *rates, 1) < 1:
            raise ValueError(f"needs a width and rates of at least 1, got {width} and {rates}")
        self.in_channels, self.outputs = in_channels, outputs
        self.width, self.rates = width, tuple(rates)
        self.branches = nn.ModuleList(
            [
                self._block(nn.Conv2d(in_channels, width, 1, bias=False)),
                *(
                    self._block(
                        nn.Conv2d(in_channels, width, 3, padding=rate, dilation=rate, bias=False)
                    )
                    for rate in self.rates
                ),
            ]
        )
        # without batch norm, which cannot train on the single number per channel of one image
        self.mean = nn.Sequential(nn.Conv2d(in_channels, width, 1), nn.ReLU(inplace=True))
        together = (2 + len(self.rates)) * width
        self.project = self._block(nn.Conv2d(together, width, 1, bias=False))
        self.predict = nn.Conv2d(width, outputs, 1)

    def forward(self, features: Tensor, size: torch.Size) -> Tensor:
        """From [batch, in_channels, h, w] to [batch, outputs, *size], size = (height, width)."""
        mean = self.mean(features.mean(dim=(2, 3), keepdim=True))
        seen = [branch(features) for branch in self.branches]
        seen.append(mean.expand_as(seen[0]))
        logits = self.predict(self.project(torch.cat(seen, dim=1)))
        return nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)

    def _block(self, convolution: nn.Conv2d) -> nn.Sequential:
        norm = nn.BatchNorm2d(convolution.out_channels)
        return nn.Sequential(convolution, norm, nn.ReLU(inplace=True))
