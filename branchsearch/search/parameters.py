"""A tree as parameters of an Optuna trial: ``mate_<task>`` and ``depth_<task>``.

See ``branchsearch.space.encoding``; depths count the stages at which branches may part.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial

from branchsearch.space.encoding import decode, encode
from branchsearch.space.space import Space
from branchsearch.tree import Tree


@lru_cache(maxsize=64)  # a study is read trial by trial
def distributions(space: Space) -> Mapping[str, IntDistribution]:
    """The 2 (T - 1) integers that name a tree of the space, and their ranges."""
    ranges = {}
    for number, task in enumerate(space.tasks[1:]):
        ranges[f"mate_{task}"] = IntDistribution(0, number)
        ranges[f"depth_{task}"] = IntDistribution(0, space.free_stages)
    return MappingProxyType(ranges)


def params_of(space: Space, tree: Tree) -> dict[str, int]:
    """One choice of the parameters that names a tree of the space."""
    if not space.free_stages:
        return dict.fromkeys(distributions(space), 0)  # the one tree there is
    params = {}
    for task, mate, depth in zip(space.tasks[1:], *encode(space.narrow(tree)), strict=True):
        params[f"mate_{task}"], params[f"depth_{task}"] = mate, depth
    return params


def tree_of(space: Space, params: Mapping[str, Any]) -> Tree:
    """The tree that parameters name; others beside the tree's are passed over."""
    names = distributions(space)
    return _decoded(space, tuple(params[name] for name in names))


def tree_of_trial(space: Space, trial: FrozenTrial) -> Tree | None:
    """The tree of a trial in any state; one that waits has its parameters fixed beforehand.

    None for a trial whose process was killed while it was asked: it stands in the study, but not
    all of its parameters do. None as well where somebody else chose values out of range.
    """
    params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    ranges = distributions(space)
    named = all(params.get(name) in range(r.low, r.high + 1) for name, r in ranges.items())
    return tree_of(space, params) if named else None


@lru_cache(maxsize=100_000)
def _decoded(space: Space, values: tuple[int, ...]) -> Tree:
    if not space.free_stages:
        return Tree.share_all(space.tasks, space.stages)
    return space.widen(decode(space.tasks, space.free_stages, values[::2], values[1::2]))
