"""A feature extractor as an ordered list of stages that may be copied."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

#: What a stage gives: ``map``, [batch, channels, h, w], or ``tokens``, [batch, tokens, channels].
Kind = Literal["map", "tokens"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a backbone that may be copied.

    Attributes:
        module: From the stage before (or the image) to this stage's features. It leaves what it is
            given as it is, because sibling copies read the same. A module that can be exported
            keeps each argument of its constructor as an attribute of the same name, so that its
            source can be written again, and its class imports nothing but torch and timm.
        channels: Channels of what it gives.
        stride: Input pixels per feature pixel of what it gives, counted from the image. Of tokens:
            input pixels per patch; patches stand last, row by row, behind tokens for no place.
        kind: What it gives.

    Raises:
        ValueError: Channels or stride below 1, or no such kind.
    """

    module: nn.Module
    channels: int
    stride: int
    kind: Kind = "map"

    def __post_init__(self) -> None:
        if min(self.channels, self.stride) < 1 or self.kind not in get_args(Kind):
            raise ValueError(
                f"a stage has channels and a stride of at least 1 and gives map or tokens, got "
                f"{self.channels}, {self.stride} and {self.kind!r}"
            )


@dataclass(frozen=True, slots=True)
class Backbone:
    """Stages in order, input side first; the image has 3 channels.

    Attributes:
        stages: At least one.
        content: What changes whenever the stages may have, though the arguments are the same: with
            files of weights and with code that is not this package's. Empty where they follow from
            the arguments alone.

    Raises:
        ValueError: There is no stage; or the last gives no map, which is what heads take.
    """

    stages: tuple[Stage, ...]
    content: str = ""

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("a backbone has at least one stage")
        if self.stages[-1].kind != "map":
            raise ValueError("heads take a map, but the last stage gives tokens")

    @property
    def modules(self) -> Sequence[nn.Module]:
        """The S modules, to be copied by whoever builds a network of them."""
        return [stage.module for stage in self.stages]
