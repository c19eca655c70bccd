"""A feature extractor as an ordered list of stages that may be copied."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a backbone that may be copied.

    Attributes:
        module: From the stage before (or the image) to this stage's features. A module that can be
            exported keeps each argument of its constructor as an attribute of the same name, so
            that its source can be written again, and its class imports nothing but torch.
        channels: Channels of what it gives.
        stride: Input pixels per feature pixel of what it gives, counted from the image.
    """

    module: nn.Module
    channels: int
    stride: int


@dataclass(frozen=True, slots=True)
class Backbone:
    """Stages in order, input side first; the image has 3 channels."""

    stages: tuple[Stage, ...]

    @property
    def modules(self) -> Sequence[nn.Module]:
        """The S modules, to be copied by whoever builds a network of them."""
        return [stage.module for stage in self.stages]
