"""ResNet-10, 18, 34 and 50, with torchvision's names of weights, so that its files load.

Sources: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1; the
stride of a bottleneck in its 3x3 convolution, as torchvision has it. Dilation instead of stride
for dense tasks: F. Yu et al., "Dilated Residual Networks", CVPR 2017.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from branchsearch.backbones.backbone import Backbone, Stage
from branchsearch.backbones.weights import content_of, load_weights, read_weights

#: Channels inside the blocks of each of the four stages.
_WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Args:
        in_channels: Channels of the input.
        width: Channels of both convolutions and of the output.
        stride: Input pixels per output pixel, in each direction.
        dilation: Pixels from one tap of the 3x3 convolutions to the next; only 1.
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        if dilation != 1:
            raise ValueError("only blocks with a bottleneck, as those of ResNet-50, are dilated")
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(in_channels, width, stride)

    def forward(self, features: Tensor) -> Tensor:
        """From [batch, in_channels, H, W] to [batch, width, H / stride, W / stride]."""
        inner = self.relu(self.bn1(self.conv1(features)))
        beside = features if self.downsample is None else self.downsample(features)
        output: Tensor = self.relu(self.bn2(self.conv2(inner)) + beside)
        return output


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution beside a shortcut.

    Args:
        in_channels: Channels of the input.
        width: Channels of the first two convolutions; the output has four times as many.
        stride: Input pixels per output pixel, in each direction.
        dilation: Pixels from one tap of the 3x3 convolution to the next.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        channels = self.expansion * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(
            width, width, 3, stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(in_channels, channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """From [batch, in_channels, H, W] to [batch, 4 * width, H / stride, W / stride]."""
        inner = self.relu(self.bn1(self.conv1(features)))
        inner = self.relu(self.bn2(self.conv2(inner)))
        beside = features if self.downsample is None else self.downsample(features)
        output: Tensor = self.relu(self.bn3(self.conv3(inner)) + beside)
        return output


def shortcut(in_channels: int, channels: int, stride: int) -> nn.Sequential | None:
    """What brings a block's input to the shape of its output; None where it has it."""
    if stride == 1 and in_channels == channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
    )


#: By the name that stages go by.
BLOCKS: Mapping[str, type[BasicBlock] | type[Bottleneck]] = {
    "BasicBlock": BasicBlock,
    "Bottleneck": Bottleneck,
}


class ResNetStage(nn.Sequential):
    """Blocks in a row; the first one changes channels and resolution.

    Args:
        block: ``BasicBlock`` or ``Bottleneck``.
        in_channels: Channels of the input.
        width: Channels inside the blocks.
        blocks: How many blocks.
        stride: Input pixels per output pixel, in each direction.
        dilation: Of the first block, and of the others.
    """

    def __init__(
        self,
        block: str,
        in_channels: int,
        width: int,
        blocks: int,
        stride: int,
        dilation: tuple[int, int],
    ) -> None:
        made = BLOCKS[block]
        first, others = dilation
        channels = made.expansion * width
        super().__init__(
            made(in_channels, width, stride, first),
            *(made(channels, width, 1, others) for _ in range(blocks - 1)),
        )
        self.block, self.in_channels, self.width = block, in_channels, width
        self.blocks, self.stride, self.dilation = blocks, stride, dilation


class ResNetFirstStage(nn.Module):
    """A 7x7 convolution, pooling, and the first blocks: a quarter of the image's resolution.

    Args:
        block: ``BasicBlock`` or ``Bottleneck``.
        blocks: How many blocks.
    """

    def __init__(self, block: str, blocks: int) -> None:
        super().__init__()
        self.block, self.blocks = block, blocks
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = ResNetStage(block, 64, 64, blocks, 1, (1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """From [batch, 3, H, W] to [batch, channels, H / 4, W / 4]."""
        stem = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        output: Tensor = self.layer1(stem)
        return output


def resnet10(*, weights: str | None = None) -> Backbone:
    """ResNet-10: one block per stage; 512 channels at 1/32.

    Args:
        weights: A file of weights, named as torchvision names those of its ResNets.
    """
    return _resnet("BasicBlock", (1, 1, 1, 1), 32, weights)


def resnet18(*, weights: str | None = None) -> Backbone:
    """ResNet-18; 512 channels at 1/32.

    Args:
        weights: A file of torchvision's weights of it.
    """
    return _resnet("BasicBlock", (2, 2, 2, 2), 32, weights)


def resnet34(*, weights: str | None = None) -> Backbone:
    """ResNet-34; 512 channels at 1/32.

    Args:
        weights: A file of torchvision's weights of it.
    """
    return _resnet("BasicBlock", (3, 4, 6, 3), 32, weights)


def resnet50(*, weights: str | None = None, output_stride: int = 32) -> Backbone:
    """ResNet-50; 2048 channels.

    Args:
        weights: A file of torchvision's weights of it.
        output_stride: 32, 16 or 8 input pixels per pixel of the last stage; dilated where a stride
            is left out.
    """
    return _resnet("Bottleneck", (3, 4, 6, 3), output_stride, weights)


def _resnet(block: str, blocks: Sequence[int], output_stride: int, weights: str | None) -> Backbone:
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride is 8, 16 or 32, got {output_stride}")
    expansion = BLOCKS[block].expansion
    stages = [Stage(ResNetFirstStage(block, blocks[0]), expansion * _WIDTHS[0], 4)]
    dilation = 1
    for width, count in zip(_WIDTHS[1:], blocks[1:], strict=True):
        before, stride = stages[-1], 2 if stages[-1].stride < output_stride else 1
        # the first block still reads what the stage before gave, at that stage's spacing
        first, dilation = dilation, dilation * 2 // stride
        module = ResNetStage(block, before.channels, width, count, stride, (first, dilation))
        stages.append(Stage(module, expansion * width, before.stride * stride))
    if weights is not None:
        _load(stages, weights)
    return Backbone(tuple(stages), content_of(weights))


def _load(stages: Sequence[Stage], path: str) -> None:
    """Load the whole at once, so that an error names weights as the file does."""
    first, *others = [stage.module for stage in stages]
    named = OrderedDict(first.named_children())
    named |= {f"layer{number}": module for number, module in enumerate(others, start=2)}
    load_weights(nn.Sequential(named), read_weights(path), source=path, unused=("fc.",))
