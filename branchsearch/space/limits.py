"""What a tree must keep to beyond being a tree."""

from collections.abc import Sequence
from dataclasses import dataclass

from branchsearch.tree import Tree


@dataclass(frozen=True, slots=True)
class Bound:
    """An upper bound on a cost that counts copies: Σ price of a stage · its branches + rest.

    Attributes:
        name: Of the cost, as in ``parameters``.
        prices: Shape [S], of one copy of each stage, not negative.
        rest: What every tree pays, such as its heads.
        most: The largest total allowed.

    Raises:
        ValueError: A price is negative.
    """

    name: str
    prices: tuple[int, ...]
    rest: int
    most: int

    def __post_init__(self) -> None:
        if min(self.prices, default=0) < 0:
            raise ValueError(f"a copy of a stage cannot cost less than 0 {self.name}")

    def total(self, widths: Sequence[int]) -> int:
        """The cost of a tree with that many branches at each stage."""
        return self.rest + sum(p * width for p, width in zip(self.prices, widths, strict=True))


@dataclass(frozen=True, slots=True)
class PairLimit:
    """How long two tasks go together.

    Attributes:
        tasks: Their names.
        least: The least number of stages they share, from the input on.
        most: The most; 0 where they may share none, None for as many as there are.
    """

    tasks: tuple[str, str]
    least: int = 0
    most: int | None = None

    def __str__(self) -> str:
        most = "" if self.most is None else f" and at most {self.most}"
        return f"{self.tasks[0]} and {self.tasks[1]} share at least {self.least}{most} stages"


@dataclass(frozen=True, slots=True)
class Limits:
    """Which of the trees of T tasks over S stages are allowed.

    Attributes:
        fewest: Shape [S]: the least number of branches at each stage; T where nothing may be
            shared. Empty for no such limit.
        most: Shape [S]: the most branches at each stage; 1 where all must share. Empty for none.
        pairs: How long two tasks may or must go together.
        bounds: On costs.
        trees: The only trees there are, where somebody has listed them. The solver and its kin do
            not look at it: a list is short enough to go through.
    """

    fewest: tuple[int, ...] = ()
    most: tuple[int, ...] = ()
    pairs: tuple[PairLimit, ...] = ()
    bounds: tuple[Bound, ...] = ()
    trees: frozenset[Tree] | None = None

    def check(self, tasks: Sequence[str], stages: int) -> None:
        """Refuse limits that do not speak of these tasks and stages.

        Raises:
            ValueError: Saying which limit, and what would be right.
        """
        for name, widths in (("fewest", self.fewest), ("most", self.most)):
            if widths and (len(widths) != stages or not all(1 <= w <= len(tasks) for w in widths)):
                raise ValueError(
                    f"{name} branches: one number in 1 ... {len(tasks)} for each of "
                    f"{stages} stages, not {list(widths)}"
                )
        for stage, (few, many) in enumerate(zip(self.fewest, self.most, strict=False)):
            if few > many:
                raise ValueError(
                    f"stage {stage} cannot have at least {few} and at most {many} branches"
                )
        for pair in self.pairs:
            if not set(pair.tasks) <= set(tasks) or len(set(pair.tasks)) != 2:
                raise ValueError(f"a pair is two of {', '.join(tasks)}, not {pair.tasks}")
            most = stages if pair.most is None else pair.most
            if not 0 <= pair.least <= most <= stages:
                raise ValueError(f"there are {stages} stages, and so it cannot be that {pair}")
        for bound in self.bounds:
            if len(bound.prices) != stages:
                raise ValueError(f"{bound.name} has {len(bound.prices)} prices for {stages} stages")
        for tree in self.trees or ():
            if tree.tasks != tuple(tasks) or len(tree.branches) != stages:
                raise ValueError(f"a tree has the tasks {tuple(tasks)} and {stages} stages: {tree}")

    def allow(self, tree: Tree) -> bool:
        """Whether a tree over the tasks and stages of ``check`` keeps to all of them."""
        widths = tree.widths
        return (
            (self.trees is None or tree in self.trees)
            and all(width >= few for width, few in zip(widths, self.fewest, strict=False))
            and all(width <= many for width, many in zip(widths, self.most, strict=False))
            and all(bound.total(widths) <= bound.most for bound in self.bounds)
            and all(_keeps(tree, pair) for pair in self.pairs)
        )


NO_LIMITS = Limits()


def shared_stages(tree: Tree, one: str, other: str) -> int:
    """How many stages two tasks share, in [0, S].

    >>> shared_stages(Tree.parse("a+b+c > a+b,c"), "b", "c")
    1
    """
    i, j = tree.tasks.index(one), tree.tasks.index(other)
    return sum(row[i] == row[j] for row in tree.branches)


def _keeps(tree: Tree, pair: PairLimit) -> bool:
    shared = shared_stages(tree, *pair.tasks)
    return pair.least <= shared and (pair.most is None or shared <= pair.most)
