"""Every backbone that the contract holds for, and what to feed it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from branchsearch import catalog
from branchsearch.backbones.backbone import Backbone


@dataclass(frozen=True)
class Example:
    """A backbone of the catalog, with arguments and the images to try it on.

    Attributes:
        name: In the catalog.
        args: Its arguments.
        size: Height and width of the images, in pixels; a multiple of every stride.
    """

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (32, 64)

    def __str__(self) -> str:
        return self.name

    def build(self) -> Backbone:
        built: Backbone = catalog.find("backbone", self.name)(**self.args)
        return built


BUILT_IN = [
    Example("resnet", {"channels": [4, 6, 8], "blocks": 2}),
    Example("resnet10"),
    Example("resnet18"),
    Example("resnet34"),
    Example("resnet50"),
    Example("resnet50", {"output_stride": 8}),
    Example("vgg", {"channels": [4, 6, 8], "convolutions": [1, 2, 1]}),
]

FX = [
    Example("fx:tests.own_net:Net", {"cuts": ["one", "two"], "output": "three"}),
]

TIMM = [
    Example("timm:resnet18"),
    Example("timm:resnet18", {"cuts": ["layer1.0", "layer2", "layer3.0"]}),
    Example("timm:mobilenetv3_small_100"),
    Example("timm:efficientnet_b0", {"cuts": ["blocks.1", "blocks.3.1"]}),
    Example("timm:convnext_atto"),
    Example(
        "timm:swin_tiny_patch4_window7_224",
        {"arguments": {"img_size": [32, 64], "window_size": 4}},
    ),
    Example("timm:vit_tiny_patch16_224", {"arguments": {"img_size": [32, 64]}}),
    Example(
        "timm:vit_tiny_patch16_224",
        {"arguments": {"img_size": 32}, "cuts": ["blocks.0", "blocks.1", "blocks.10"]},
        (32, 32),
    ),
]
