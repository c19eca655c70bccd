"""The layout of a branched network: which tasks still share which stage."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import Self

#: What the notation uses itself, and so no task's name may hold.
_RESERVED = frozenset("+,>")


@dataclass(frozen=True, slots=True)
class Tree:
    """A branched layout of T tasks over S stages.

    Two tasks run through the same copy of a stage exactly when they are in the same branch there.
    Branches only ever split: tasks that part at one stage do not meet again at a deeper one.

    >>> tree = Tree.parse("depth+normals+seg > depth+normals,seg")
    >>> tree.widths
    (1, 2)
    >>> tree.parents(1)
    (0, 0)
    >>> print(Tree.share_none(["seg", "depth"], stages=1))
    depth,seg

    Attributes:
        tasks: The T task names, sorted. A name is not empty and holds no blank and none of
            ``+ , >``.
        branches: Shape [S, T], input side first. ``branches[s][t]`` is the number of the branch
            that task ``t`` takes at stage ``s``. Every row numbers its branches 0, 1, 2, ... in
            order of first appearance. Two trees that share alike are therefore equal.

    Raises:
        ValueError: No task or no stage; a name that is not one; names or numbers are not in that
            order; or two tasks meet again.
    """

    tasks: tuple[str, ...]
    branches: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.tasks or not self.branches:
            raise ValueError("a tree has at least one task and one stage")
        _check_tasks(self.tasks)
        for stage, row in enumerate(self.branches):
            if len(row) != len(self.tasks) or row != _numbered(row):
                raise ValueError(f"stage {stage} does not number its branches in order: {row}")
        for stage, (above, below) in enumerate(pairwise(self.branches), start=1):
            if len(set(zip(below, above, strict=True))) != len(set(below)):
                raise ValueError(
                    f"tasks that had parted meet again at stage {stage}: "
                    f"{_text(self.tasks, above)} > {_text(self.tasks, below)}"
                )

    @classmethod
    def from_labels(cls, tasks: Sequence[str], labels: Iterable[Sequence[Hashable]]) -> Self:
        """Build a tree from any [S, T] labels that are equal where two tasks share a stage."""
        order = sorted(range(len(tasks)), key=tasks.__getitem__)
        rows = (_numbered([row[task] for task in order]) for row in labels)
        return cls(tuple(tasks[task] for task in order), tuple(rows))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the notation that ``str`` writes: ``a+b+c > a+b,c``."""
        stages = [
            [[task.strip() for task in branch.split("+")] for branch in stage.split(",")]
            for stage in text.split(">")
        ]
        tasks = sorted(chain.from_iterable(stages[0]))
        if any(sorted(chain.from_iterable(stage)) != tasks for stage in stages):
            raise ValueError(f"not every stage names the same tasks once: {text!r}")
        rows = [{task: n for n, branch in enumerate(stage) for task in branch} for stage in stages]
        return cls.from_labels(tasks, [[row[task] for task in tasks] for row in rows])

    @classmethod
    def share_all(cls, tasks: Sequence[str], stages: int) -> Self:
        """The tree in which all tasks share every stage."""
        return cls.from_labels(tasks, [[0] * len(tasks)] * stages)

    @classmethod
    def share_none(cls, tasks: Sequence[str], stages: int) -> Self:
        """The tree in which every task has a network of its own."""
        return cls.from_labels(tasks, [range(len(tasks))] * stages)

    def __str__(self) -> str:
        return " > ".join(_text(self.tasks, row) for row in self.branches)

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of branches at each stage, shape [S]."""
        return tuple(len(set(row)) for row in self.branches)

    def members(self, stage: int) -> list[tuple[str, ...]]:
        """The tasks of each branch at a stage, in branch order."""
        return _members(self.tasks, self.branches[stage])

    def parents(self, stage: int) -> tuple[int, ...]:
        """The branch at ``stage - 1`` that feeds each branch at ``stage``; the input is 0."""
        above = self.branches[stage - 1] if stage else (0,) * len(self.tasks)
        feeds = dict(zip(self.branches[stage], above, strict=True))
        return tuple(feeds[branch] for branch in range(self.widths[stage]))


@lru_cache  # a space makes millions of trees over the same tasks
def _check_tasks(tasks: tuple[str, ...]) -> None:
    for task in tasks:
        check_task_name(task)
    if list(tasks) != sorted(set(tasks)):
        raise ValueError(f"tasks are not sorted and distinct: {tasks}")


def check_task_name(name: str) -> None:
    """Refuse a name that the notation could not write.

    Raises:
        ValueError: It is empty, or holds a blank or one of ``+ , >``.
    """
    if not name or _RESERVED & set(name) or any(letter.isspace() for letter in name):
        raise ValueError(
            f"a task's name is not empty and holds no blank, '+', ',' or '>': {name!r}"
        )


def _members(tasks: Sequence[str], row: Sequence[int]) -> list[tuple[str, ...]]:
    return [
        tuple(task for task, b in zip(tasks, row, strict=True) if b == branch)
        for branch in range(len(set(row)))
    ]


def _text(tasks: Sequence[str], row: Sequence[int]) -> str:
    return ",".join("+".join(members) for members in _members(tasks, row))


def _numbered(labels: Sequence[Hashable]) -> tuple[int, ...]:
    """Replace labels by 0, 1, 2, ... in order of first appearance."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return tuple(numbers[label] for label in labels)
