"""Small residual networks.

Source: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, with the 3x3 stem
that the paper uses for small images (section 4.2).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from branchsearch.backbones.backbone import Backbone, Stage


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        stride: Input pixels per output pixel, in each direction.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.in_channels, self.channels, self.stride = in_channels, channels, stride
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, features: Tensor) -> Tensor:
        """From [batch, in_channels, H, W] to [batch, channels, H / stride, W / stride]."""
        inner = self.relu(self.bn1(self.conv1(features)))
        # the shortcut's stride is taken here: torch 2.13 on a CPU writes beyond its memory when it
        # takes the gradient of a 1x1 convolution with a stride, few channels and channels last
        beside = self.shortcut(features[:, :, :: self.stride, :: self.stride])
        output: Tensor = self.relu(self.bn2(self.conv2(inner)) + beside)
        return output


class ResidualStage(nn.Module):
    """Residual blocks in a row; the first one changes channels and resolution.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        blocks: How many blocks.
        stride: Input pixels per output pixel, in each direction.
    """

    def __init__(self, in_channels: int, channels: int, blocks: int, stride: int) -> None:
        super().__init__()
        self.in_channels, self.channels = in_channels, channels
        self.blocks, self.stride = blocks, stride
        self.body = nn.Sequential(
            ResidualBlock(in_channels, channels, stride),
            *(ResidualBlock(channels, channels, 1) for _ in range(blocks - 1)),
        )

    def forward(self, features: Tensor) -> Tensor:
        """From [batch, in_channels, H, W] to [batch, channels, H / stride, W / stride]."""
        output: Tensor = self.body(features)
        return output


def resnet(
    *, channels: Sequence[int], strides: Sequence[int] | None = None, blocks: int = 1
) -> Backbone:
    """A residual network without pooling.

    Args:
        channels: Shape [S], the channels after each stage.
        strides: Shape [S], pixels that each stage takes for one of its own, in each direction; full
            resolution in stage 0 and half at each later one unless given.
        blocks: Residual blocks per stage.

    Raises:
        ValueError: No stage, a number below 1, or not one stride per stage.
    """
    strides = strides or [2 if number else 1 for number in range(len(channels))]
    if not channels or min(*channels, *strides, blocks) < 1:
        raise ValueError(
            f"needs channels, strides and blocks of at least 1, got {channels}, {strides}, {blocks}"
        )
    if len(strides) != len(channels):
        raise ValueError(f"{len(channels)} stages need as many strides, got {strides}")
    stages, before, total = [], 3, 1
    for width, stride in zip(channels, strides, strict=True):
        total *= stride
        stages.append(Stage(ResidualStage(before, width, blocks, stride), width, total))
        before = width
    return Backbone(tuple(stages))
