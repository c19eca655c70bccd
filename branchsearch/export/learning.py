"""How an exported network was trained, so that its ``train.py`` does the same."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from branchsearch.datasets.augmentation import Augmentation
from branchsearch.train.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Learning:
    """How a network was trained.

    Attributes:
        recipe: Epochs, optimiser, learning rate and so on.
        balancing: Name in the catalog of what weighs the tasks' losses.
        arguments: Of the balancing.
    """

    recipe: Recipe
    balancing: str = "equal_start"
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """All of it, as plain JSON."""
        return {
            "recipe": asdict(self.recipe),
            "balancing": {"name": self.balancing, "args": dict(self.arguments)},
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Read what ``as_json`` wrote."""
        recipe = {**told["recipe"], "augmentation": Augmentation(**told["recipe"]["augmentation"])}
        return cls(Recipe(**recipe), told["balancing"]["name"], told["balancing"]["args"])


#: A recipe to begin with, where nobody says how a network was trained.
UNKNOWN = Learning(
    Recipe(
        epochs=8,
        batch_size=32,
        learning_rate=0.01,
        weight_decay=0.01,
        warm_up=0.1,
        averaging=0.98,
    )
)
