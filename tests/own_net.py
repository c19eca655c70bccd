"""A network as a user of ``fx:`` may have it."""

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """A convolution beside a shortcut."""

    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, channels, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.skip = nn.Conv2d(before, channels, 1, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(features)) + self.skip(features))


class Net(nn.Module):
    """Three blocks and a classifier."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.one, self.two, self.three = Block(3, 4), Block(4, 6), Block(6, 8)
        self.classes = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.three(self.two(self.one(images)))
        return self.classes(features.mean((2, 3)))
