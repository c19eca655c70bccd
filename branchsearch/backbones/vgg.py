"""Plain convolutional networks, thin enough to search over face attributes.

Source: K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015, with batch norm. Searched as a thin network by Y. Lu et al.,
"Fully-adaptive Feature Sharing in Multi-Task Networks", CVPR 2017.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from branchsearch.backbones.backbone import Backbone, Stage


class PlainStage(nn.Module):
    """3x3 convolutions in a row, then half the resolution.

    Args:
        in_channels: Channels of the input.
        channels: Channels of every convolution's output.
        convolutions: How many.
    """

    def __init__(self, in_channels: int, channels: int, convolutions: int) -> None:
        super().__init__()
        self.in_channels, self.channels, self.convolutions = in_channels, channels, convolutions
        layers: list[nn.Module] = []
        for number in range(convolutions):
            before = channels if number else in_channels
            layers += [
                nn.Conv2d(before, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
        self.body = nn.Sequential(*layers, nn.MaxPool2d(2))

    def forward(self, features: Tensor) -> Tensor:
        """From [batch, in_channels, H, W] to [batch, channels, H / 2, W / 2]."""
        output: Tensor = self.body(features)
        return output


def vgg(
    *,
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    convolutions: Sequence[int] = (2, 2, 3, 3, 3),
) -> Backbone:
    """Plain stages, each of half the resolution before; as given, half as wide as VGG-16.

    Args:
        channels: Shape [S], the channels after each stage.
        convolutions: Shape [S], 3x3 convolutions in each stage.

    Raises:
        ValueError: No stage, a number below 1, or not one number of convolutions per stage.
    """
    if not channels or min(*channels, *convolutions, 1) < 1:
        raise ValueError(
            f"needs channels and convolutions of at least 1, got {channels}, {convolutions}"
        )
    if len(channels) != len(convolutions):
        raise ValueError(f"{len(channels)} stages need as many convolutions, got {convolutions}")
    stages, before = [], 3
    for number, (width, count) in enumerate(zip(channels, convolutions, strict=True), start=1):
        stages.append(Stage(PlainStage(before, width, count), width, 2**number))
        before = width
    return Backbone(tuple(stages))
