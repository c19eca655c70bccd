"""The plain head of maps."""

import torch
from torch import Tensor, nn


class DenseHead(nn.Module):
    """A prediction for every pixel: one 3x3 convolution, a 1x1 to the outputs, and upsampling.

    Args:
        in_channels: Channels of the features.
        outputs: Channels of the prediction.
    """

    def __init__(self, in_channels: int, outputs: int) -> None:
        super().__init__()
        self.in_channels, self.outputs = in_channels, outputs
        self.hidden = nn.Conv2d(in_channels, in_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.predict = nn.Conv2d(in_channels, outputs, 1)

    def forward(self, features: Tensor, size: torch.Size) -> Tensor:
        """From [batch, in_channels, h, w] to [batch, outputs, *size], size = (height, width)."""
        logits = self.predict(self.relu(self.norm(self.hidden(features))))
        return nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
