"""Which trees may be built."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from random import Random

from branchsearch.space.chains import Chains
from branchsearch.space.cost import CostTable
from branchsearch.space.forests import MOST_TASKS, Forests
from branchsearch.space.limits import NO_LIMITS, Bound, Limits
from branchsearch.space.listed import Listed
from branchsearch.space.widths import CannotCount, WidthSequences
from branchsearch.tree import Tree

#: The largest trees that a space may have: counting recurses over tasks and over stages.
_TASKS, _STAGES = 256, 128

#: Trees drawn in vain before a space is held to be empty, or as good as.
_PATIENCE = 100_000


class EmptySpace(ValueError):
    """No tree keeps to all limits, or none was found."""


@dataclass(frozen=True, slots=True)
class Space:
    """The trees of T tasks over S stages that keep to limits.

    Trees are counted, listed, ranked, found by rank and drawn exactly under limits on stages and
    widths at any number of tasks, and under limits on pairs up to ``MOST_TASKS`` tasks. Costs
    count copies, so they are limits on widths; over very many tasks and stages they take too many
    values to count. Where counting is out of reach, ``CannotCount`` says so; trees are then drawn
    without the limit, and those that break it are passed over, which is uniform all the same.

    Attributes:
        tasks: The T task names, sorted.
        may_split: Shape [S]: whether branches may part at that stage. At the first stage all tasks
            share one branch unless it may split.
        limits: What a tree must keep to beyond that.

    Raises:
        ValueError: No stage, too many, names that make no tree, or limits that do not fit them.
    """

    tasks: tuple[str, ...]
    may_split: tuple[bool, ...]
    limits: Limits = NO_LIMITS

    def __post_init__(self) -> None:
        Tree.share_all(self.tasks, len(self.may_split))  # refuses what no tree can hold
        if len(self.tasks) > _TASKS or len(self.may_split) > _STAGES:
            raise ValueError(
                f"a space has at most {_TASKS} tasks and {_STAGES} stages, "
                f"not {len(self.tasks)} and {len(self.may_split)}"
            )
        if list(self.tasks) != sorted(self.tasks):
            raise ValueError(f"tasks are not sorted: {self.tasks}")
        self.limits.check(self.tasks, self.stages)

    @classmethod
    def of(cls, tasks: Sequence[str], stages: int, limits: Limits | None = None) -> "Space":
        """The space of all trees that keep to the limits."""
        return cls(tuple(sorted(tasks)), (True,) * stages, limits or NO_LIMITS)

    @property
    def stages(self) -> int:
        """S, the number of stages."""
        return len(self.may_split)

    @property
    def free_stages(self) -> int:
        """The number of stages at which branches may part."""
        return sum(self.may_split)

    def within(self, costs: CostTable, budget: Mapping[str, int]) -> "Space":
        """The part of the space whose trees keep to a budget.

        Args:
            costs: What stages and heads cost.
            budget: Upper bounds, by the names in ``branchsearch.space.cost.COSTS``.
        """
        heads = [costs.heads[task] for task in self.tasks]
        bounds = [
            Bound(
                name,
                prices=tuple(getattr(stage, name) for stage in costs.stages),
                rest=sum(getattr(head, name) for head in heads),
                most=most,
            )
            for name, most in budget.items()
        ]
        limits = replace(self.limits, bounds=(*self.limits.bounds, *bounds))
        return replace(self, limits=limits)

    def __contains__(self, tree: Tree) -> bool:
        if tree.tasks != self.tasks or len(tree.branches) != self.stages:
            return False
        rows = pairwise(((0,) * len(self.tasks), *tree.branches))
        stays = (above == row for above, row in rows)
        return all(
            may_split or stays for may_split, stays in zip(self.may_split, stays, strict=True)
        ) and self.limits.allow(tree)

    def count(self) -> int:
        """The number of trees, exact.

        Raises:
            CannotCount: See the class.
        """
        return self._listing().trees()

    def __iter__(self) -> Iterator[Tree]:
        """Every tree once, lazily, in a fixed order that begins with sharing most.

        Raises:
            CannotCount: See the class.
        """
        return (Tree(self.tasks, rows) for rows in self._listing())

    def rank(self, tree: Tree) -> int:
        """The place of a tree in the order of the space, from 0.

        Raises:
            ValueError: The tree is not in the space.
            CannotCount: See the class.
        """
        if tree not in self:
            raise ValueError(f"{tree} is not in the space")
        return self._listing().rank(tree.branches)

    def unrank(self, rank: int) -> Tree:
        """The tree at a place in the order of the space.

        Raises:
            IndexError: There are not so many trees.
            CannotCount: See the class.
        """
        if not 0 <= rank < (trees := self.count()):
            raise IndexError(f"rank {rank} of a space of {trees} trees")
        return Tree(self.tasks, self._listing().at(rank))

    def sample(self, random: Random) -> Tree:
        """One tree, each with the same probability.

        Raises:
            EmptySpace: There is no tree; or trees cannot be counted, and many drawn without regard
                to what makes counting hard all broke a limit.
        """
        if self.countable:
            trees = self.count()
            if not trees:
                raise EmptySpace(f"no tree of {len(self.tasks)} tasks keeps to all limits")
            return self.unrank(random.randrange(trees))  # exact: counts outgrow floats
        wider = self._wider()
        for _ in range(_PATIENCE):
            tree = wider.sample(random)
            if tree in self:
                return tree
        raise EmptySpace(f"none of {_PATIENCE:,} trees drawn at random keeps to all limits")

    def widen(self, tree: Tree) -> Tree:
        """Build the tree that a tree over the free stages alone stands for."""
        if all(self.may_split):
            return tree
        rows = iter(tree.branches)
        row: Sequence[int] = (0,) * len(self.tasks)
        labels = [row := next(rows) if may_split else row for may_split in self.may_split]
        return Tree.from_labels(tree.tasks, labels)

    def narrow(self, tree: Tree) -> Tree:
        """Undo ``widen``: only the rows at which branches may part."""
        if all(self.may_split):
            return tree
        kept = [
            row for row, may_split in zip(tree.branches, self.may_split, strict=True) if may_split
        ]
        return Tree(tree.tasks, tuple(kept))

    @property
    def countable(self) -> bool:
        """Whether trees can be counted and ranked."""
        try:
            self.count()
        except CannotCount:
            return False
        return True

    def _listing(self) -> Chains | Forests | Listed:
        return _listing(self.tasks, self.may_split, self.limits)

    def _wider(self) -> "Space":
        """The space without the limits that make counting hard, and with all others.

        Every limit that stays is one that draws keep to by themselves.
        """
        wider = replace(self, limits=replace(self.limits, pairs=()))
        if wider.countable:
            return wider
        return replace(wider, limits=replace(wider.limits, bounds=()))


@lru_cache(maxsize=64)  # counts are kept in it, and a space is asked again and again
def _listing(
    tasks: tuple[str, ...], may_split: tuple[bool, ...], limits: Limits
) -> Chains | Forests | Listed:
    if limits.trees is not None:
        space = Space(tasks, may_split, limits)
        return Listed(tree for tree in limits.trees if tree in space)
    if not limits.pairs:
        return Chains(WidthSequences(len(tasks), may_split, limits))
    if len(tasks) > MOST_TASKS:
        raise CannotCount(
            f"trees with limits on pairs are counted and ranked up to {MOST_TASKS} tasks, "
            f"and here are {len(tasks)}; they can still be drawn"
        )
    return Forests(tasks, may_split, limits)
