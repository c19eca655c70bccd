"""What is tuned beside the tree: a width, a learning rate, loss weights, which backbone.

Each choice is one parameter of the Optuna study, next to those that name the tree.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any, TypeAlias

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from branchsearch.space.cost import CostTable

#: What was chosen for each name, sorted by name; hashable. Empty where nothing is tuned.
Choices: TypeAlias = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Tuned:
    """Choices that are searched together with the tree.

    Attributes:
        ranges: What each may be, by the name of its parameter.
        own: What each is where nobody chooses: the value that baselines are trained with.
        costs: From choices to what stages and heads then cost.

    Raises:
        ValueError: An own value is out of its range, or names differ.
    """

    ranges: Mapping[str, BaseDistribution]
    own: Choices
    costs: Callable[[Choices], CostTable]

    def __post_init__(self) -> None:
        if [name for name, _ in self.own] != sorted(self.ranges):
            raise ValueError(f"own values of {dict(self.own)}, ranges of {sorted(self.ranges)}")
        if not all(holds(self.ranges[name], value) for name, value in self.own):
            raise ValueError(f"out of range: {dict(self.own)}")
        on_grid = tuple((name, _on_grid(self.ranges[name], value)) for name, value in self.own)
        object.__setattr__(self, "own", on_grid)  # frozen once it is whole

    def of(self, params: Mapping[str, Any]) -> Choices | None:
        """What parameters choose; None where one lacks or is out of range."""
        names = sorted(self.ranges)
        if not all(name in params and holds(self.ranges[name], params[name]) for name in names):
            return None
        return tuple((name, _on_grid(self.ranges[name], params[name])) for name in names)

    def drawn(self, random: Random) -> Choices:
        """Every choice at random: each value of a range is as likely, by its logarithm if so."""
        return tuple((name, draw(self.ranges[name], random)) for name in sorted(self.ranges))

    def redrawn(self, choices: Choices, name: str, random: Random) -> Choices:
        """The same but for one choice."""
        value = draw(self.ranges[name], random)
        return tuple((other, value if other == name else kept) for other, kept in choices)

    def combinations(self, most: int) -> list[Choices] | None:
        """Every combination of choices; None where there are more than that, or endless ones."""
        names = sorted(self.ranges)
        values = [values_of(self.ranges[name]) for name in names]
        if any(one is None for one in values):
            return None
        finite = [one for one in values if one is not None]
        if math.prod(map(len, finite)) > most:
            return None
        return [tuple(zip(names, each, strict=True)) for each in product(*finite)]


def as_text(choices: Choices) -> str:
    """Choices as people read them, such as ``trial.learning_rate 0.003, weights.seg 1.2``."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in choices
    )


def holds(distribution: BaseDistribution, value: Any) -> bool:  # noqa: ANN401  # any parameter
    """Whether a parameter may have a value."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and distribution._contains(value)


def values_of(distribution: BaseDistribution) -> Sequence[Any] | None:
    """Every value that a parameter may have; None where there is no end of them."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1, distribution.step)
    assert isinstance(distribution, FloatDistribution)
    if distribution.step is not None:
        steps = round((distribution.high - distribution.low) / distribution.step)
        return [_step(distribution, step) for step in range(steps + 1)]
    return [distribution.low] if distribution.low == distribution.high else None


def _on_grid(distribution: BaseDistribution, value: Any) -> Any:  # noqa: ANN401
    """A value in its one form: of a range with steps, without what rounding has added."""
    if not isinstance(distribution, FloatDistribution) or distribution.step is None:
        return value
    return _step(distribution, round((value - distribution.low) / distribution.step))


def _step(distribution: FloatDistribution, number: int) -> float:
    """A value of a range with steps, in decimals: 3 of 0.1 are 0.3, and not a little more."""
    assert distribution.step is not None
    exact = Decimal(str(distribution.low)) + number * Decimal(str(distribution.step))
    return min(float(exact), distribution.high)


def draw(distribution: BaseDistribution, random: Random) -> Any:  # noqa: ANN401  # any parameter
    """One value of a parameter, uniformly; by its logarithm where the range is logarithmic."""
    values = values_of(distribution)
    if values is not None and not getattr(distribution, "log", False):
        return values[random.randrange(len(values))]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    half = 0.5 if isinstance(distribution, IntDistribution) else 0.0  # each whole number its share
    low, high = distribution.low - half, distribution.high + half
    if distribution.log:
        value = math.exp(random.uniform(math.log(low), math.log(high)))
    else:
        value = random.uniform(low, high)
    value = min(max(value, distribution.low), distribution.high)
    return round(value) if half else value
