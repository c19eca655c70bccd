"""Which trees may be built."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from random import Random

from branchsearch.space.count import count_trees, first_part_counts
from branchsearch.tree import Tree

#: One branch per stage and part: shape [S] of sets of task numbers.
_Forest = list[list[frozenset[int]]]


@dataclass(frozen=True, slots=True)
class Space:
    """The trees of T tasks over S stages in which branches part only where they may.

    Attributes:
        tasks: The T task names, sorted.
        may_split: Shape [S]: whether branches may part at that stage. At the first stage all tasks
            share one branch unless it may split.

    Raises:
        ValueError: No stage, or names that make no tree.
    """

    tasks: tuple[str, ...]
    may_split: tuple[bool, ...]
    _free: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        Tree.share_all(self.tasks, len(self.may_split))  # refuses what no tree can hold
        if list(self.tasks) != sorted(self.tasks):
            raise ValueError(f"tasks are not sorted: {self.tasks}")
        object.__setattr__(self, "_free", sum(self.may_split))

    @classmethod
    def of(cls, tasks: Sequence[str], stages: int) -> "Space":
        """The space of all trees."""
        return cls(tuple(sorted(tasks)), (True,) * stages)

    @property
    def stages(self) -> int:
        """S, the number of stages."""
        return len(self.may_split)

    @property
    def free_stages(self) -> int:
        """The number of stages at which branches may part."""
        return self._free

    def __len__(self) -> int:
        """The number of trees, exact; at most ``sys.maxsize`` (use ``count`` beyond)."""
        return self.count()

    def __contains__(self, tree: Tree) -> bool:
        if tree.tasks != self.tasks or len(tree.branches) != self.stages:
            return False
        rows = zip(tree.branches, self._above(tree), self.may_split, strict=True)
        return all(may_split or row == above for row, above, may_split in rows)

    def _above(self, tree: Tree) -> list[tuple[int, ...]]:
        return [(0,) * len(self.tasks), *tree.branches[:-1]]

    def count(self) -> int:
        """The number of trees, exact at any size."""
        return count_trees(len(self.tasks), self.free_stages)

    def __iter__(self) -> Iterator[Tree]:
        """Every tree once, lazily, in a fixed order that begins with sharing all."""
        everything = frozenset(range(len(self.tasks)))
        return map(self._tree, _forests(everything, self.free_stages))

    def sample(self, random: Random) -> Tree:
        """One tree, each with the same probability."""
        members = list(range(len(self.tasks)))
        return self._tree(_random_forest(members, self.free_stages, random))

    def extremes(self) -> tuple[Tree, Tree]:
        """The trees that share all that may be shared, and as little as may be."""
        free = max(1, self.free_stages)
        all_, none = Tree.share_all(self.tasks, free), Tree.share_none(self.tasks, free)
        return self.widen(all_), self.widen(none)

    def widen(self, tree: Tree) -> Tree:
        """Build the tree that a tree over the free stages alone stands for."""
        rows = iter(tree.branches)
        row: Sequence[int] = (0,) * len(self.tasks)
        labels = [row := next(rows) if may_split else row for may_split in self.may_split]
        return Tree.from_labels(tree.tasks, labels)

    def narrow(self, tree: Tree) -> Tree:
        """Undo ``widen``: only the rows at which branches may part."""
        kept = [
            row for row, may_split in zip(tree.branches, self.may_split, strict=True) if may_split
        ]
        return Tree(tree.tasks, tuple(kept))

    def _tree(self, forest: _Forest) -> Tree:
        rows = iter(forest)
        parts = [frozenset(range(len(self.tasks)))]
        labels = []
        for may_split in self.may_split:
            parts = next(rows) if may_split else parts
            labels.append(
                [
                    next(n for n, part in enumerate(parts) if t in part)
                    for t in range(len(self.tasks))
                ]
            )
        return Tree.from_labels(self.tasks, labels)


def _forests(members: frozenset[int], stages: int) -> Iterator[_Forest]:
    """Every way to split one branch over the stages left; the coarsest first."""
    if stages == 0:
        yield []
        return
    if not members:
        yield [[] for _ in range(stages)]
        return
    first, *others = sorted(members)
    for size in range(len(others), -1, -1):
        for companions in combinations(others, size):
            part = frozenset((first, *companions))
            for below in _forests(part, stages - 1):
                for beside in _forests(members - part, stages):
                    yield _joined(part, below, beside)


def _random_forest(members: list[int], stages: int, random: Random) -> _Forest:
    """A uniform one: the first task's part has each size as often as trees have it."""
    if stages == 0:
        return []
    if not members:
        return [[] for _ in range(stages)]
    counts = first_part_counts(len(members), stages)
    place = random.randrange(sum(counts))  # exact: counts outgrow floats
    size = 1
    while place >= counts[size - 1]:
        place -= counts[size - 1]
        size += 1
    part = [members[0], *random.sample(members[1:], size - 1)]
    left = [task for task in members if task not in part]
    return _joined(
        frozenset(part),
        _random_forest(sorted(part), stages - 1, random),
        _random_forest(left, stages, random),
    )


def _joined(part: frozenset[int], below: _Forest, beside: _Forest) -> _Forest:
    """Put a part, with what becomes of it, beside what becomes of the other tasks."""
    return [[part, *beside[0]], *(a + b for a, b in zip(below, beside[1:], strict=True))]
