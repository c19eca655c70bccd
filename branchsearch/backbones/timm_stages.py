"""Stages made of the parts of a timm model."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from branchsearch.backbones.operators import declare_missing

declare_missing()
import timm  # noqa: E402  # where torchvision's operators do not load, it needs them declared


class TimmFirstStage(nn.Module):
    """A timm model up to a cut: its features, without the parts that later stages hold.

    Args:
        model: Name in timm.
        arguments: What timm makes it with.
        without: Names of the modules that are left out.
        layout: Of what is left: ``map``, ``channels_last`` or ``tokens``.
        grid: Rows and columns of patches, where tokens are to be given as a map.
        whole: The model, where it is made already; its parts become this stage's.
    """

    def __init__(
        self,
        model: str,
        arguments: Mapping[str, Any],
        without: Sequence[str],
        layout: str,
        grid: tuple[int, int] | None = None,
        whole: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.model, self.arguments, self.without = model, arguments, without
        self.layout, self.grid, self.whole = layout, grid, None
        self.body: Any = whole or timm.create_model(model, **arguments)
        for name in without:
            self.body.set_submodule(name, nn.Identity())

    def forward(self, images: Tensor) -> Tensor:
        """From [batch, 3, H, W] to a map [batch, channels, h, w] or tokens."""
        return as_given(self.body.forward_features(images), self.layout, self.grid)


class TimmStage(nn.Module):
    """Modules of a timm model, one after the other.

    Args:
        model: Name in timm.
        arguments: What timm makes it with.
        parts: Names of the modules.
        layout: In which they work: ``map``, ``channels_last`` or ``tokens``.
        grid: Rows and columns of patches, where tokens are to be given as a map.
        whole: The model, where it is made already; its parts become this stage's.
    """

    def __init__(
        self,
        model: str,
        arguments: Mapping[str, Any],
        parts: Sequence[str],
        layout: str,
        grid: tuple[int, int] | None = None,
        whole: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.model, self.arguments, self.parts = model, arguments, parts
        self.layout, self.grid, self.whole = layout, grid, None
        made = whole or timm.create_model(model, **arguments)
        self.body = nn.Sequential(*(made.get_submodule(name) for name in parts))
        # other copies of this stage read the same features, so the first part must leave them
        module: Any
        for module in self.body[0].modules():
            if hasattr(module, "inplace"):
                module.inplace = False

    def forward(self, features: Tensor) -> Tensor:
        """From a map or tokens, as the stage before gives them, to a map or tokens."""
        if self.layout == "channels_last":
            features = features.permute(0, 2, 3, 1)
        return as_given(self.body(features), self.layout, self.grid)


def as_given(features: Tensor, layout: str, grid: tuple[int, int] | None) -> Tensor:
    """Features as stages give them: a map [batch, channels, h, w], or tokens without a grid.

    Tokens that stand for no place, as a class token does, come first and are not in a map.
    """
    if layout == "channels_last":
        return features.permute(0, 3, 1, 2)
    if grid is None:
        return features
    rows, columns = grid
    patches = features[:, -rows * columns :].transpose(1, 2)
    # not len(), a plain number: torch.export would take the batch that it sees for the only one
    return patches.reshape(patches.shape[0], -1, rows, columns)
