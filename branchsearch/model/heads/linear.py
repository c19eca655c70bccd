"""The plain head of images: classes, attributes and numbers."""

import torch
from torch import Tensor, nn


class LinearHead(nn.Module):
    """A prediction for the image: the mean over all places, and a linear map of it.

    Args:
        in_channels: Channels of the features.
        outputs: Numbers of the prediction.
    """

    gives_map = False

    def __init__(self, in_channels: int, outputs: int) -> None:
        super().__init__()
        self.in_channels, self.outputs = in_channels, outputs
        self.predict = nn.Linear(in_channels, outputs)

    def forward(self, features: Tensor, size: torch.Size) -> Tensor:  # noqa: ARG002
        """From [batch, in_channels, h, w] to [batch, outputs], whatever the size of the image."""
        numbers: Tensor = self.predict(features.mean(dim=(2, 3)))
        return numbers
