"""Legible names for the branches and heads of a tree, as attributes of one class.

Task names are what users write: ``edges-2d``, ``é``, ``40``, ``class``. The names made of them are
ASCII identifiers, distinct, and never longer than ``LONGEST``.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from branchsearch.tree import Tree

#: So that ``self.<name> = `` leaves room on a line of 100.
LONGEST = 40


@dataclass(frozen=True, slots=True)
class Names:
    """The attribute that holds each copy of a stage and each head.

    >>> names = Names.of(Tree.parse("depth+edges-2d+seg > depth+seg,edges-2d"))
    >>> names.stages
    (('stage0_depth_edges_2d_seg',), ('stage1_depth_seg', 'stage1_edges_2d'))
    >>> names.heads["edges-2d"]
    'head_edges_2d'

    Attributes:
        stages: Per stage, one name for each of its branches, in branch order.
        heads: One name per task.
    """

    stages: tuple[tuple[str, ...], ...]
    heads: Mapping[str, str]

    @classmethod
    def of(cls, tree: Tree) -> Self:
        """Name the parts of a tree after the tasks that use them."""
        words = dict(zip(tree.tasks, _distinct(map(_word, tree.tasks)), strict=True))
        stages = (
            _distinct(_joined(f"stage{number}", [words[task] for task in tasks]) for tasks in stage)
            for number, stage in enumerate(map(tree.members, range(len(tree.branches))))
        )
        heads = _distinct(_joined("head", [word]) for word in words.values())
        return cls(tuple(stages), dict(zip(tree.tasks, heads, strict=True)))


def _word(task: str) -> str:
    """What is left of a task's name in lower-case ASCII."""
    ascii_only = unicodedata.normalize("NFKD", task).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_") or "task"


def _joined(prefix: str, words: Sequence[str]) -> str:
    """All words, or as many as have room and how many more there are."""
    for shown in range(len(words), 0, -1):
        left = len(words) - shown
        name = "_".join([prefix, *words[:shown], *([f"and_{left}_more"] if left else [])])
        if len(name) <= LONGEST:
            return name
    suffix = f"_and_{len(words) - 1}_more" if len(words) > 1 else ""
    return _cut(f"{prefix}_{words[0]}", suffix)


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Number the names that came before."""
    taken: dict[str, None] = {}
    for name in names:
        number, candidate = 1, name
        while candidate in taken:
            number += 1
            candidate = _cut(name, f"_{number}")
        taken[candidate] = None
    return tuple(taken)


def _cut(name: str, suffix: str) -> str:
    return name[: LONGEST - len(suffix)].rstrip("_") + suffix
