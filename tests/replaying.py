"""Tables of few trees, and samplers that do as they are told."""

# ruff: noqa: ARG002  # the signatures are Optuna's

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from branchsearch.search.parameters import distributions, params_of
from branchsearch.search.replay.replay import Replay
from branchsearch.search.replay.table import Table, read_table
from branchsearch.search.replay.tabled import problem_of
from branchsearch.space.space import Space
from branchsearch.tree import Tree

#: Every tree of three tasks over one stage, with the quality of each (the mean of the scores).
FIVE = """\
tree,score:a,score:b,score:c,cost:parameters
a+b+c,0,0,0,10
"a+b,c",3,3,0,20
"a+c,b",1,1,1,20
"a,b+c",4,4,4,20
"a,b,c",3,3,3,30
"""
QUALITY = {"a+b+c": 0, "a+b,c": 2, "a+c,b": 1, "a,b+c": 4, "a,b,c": 3}


def table_of(text: str, folder: Path) -> Table:
    """Read a table that is given as text."""
    path = folder / "table.csv"
    path.write_text(text)
    return read_table(path)


def replay_of(table: Table, **asked: Any) -> Replay:  # noqa: ANN401  # whatever Replay takes
    """A replay, of which a test says what it is about."""
    usual = {"trials": 3, "start": 1, "repeats": 4, "cost": "parameters", "seed": 0}
    return Replay(table, problem_of(table), **{**usual, **asked})


class Scripted(BaseSampler):
    """Proposes given trees, in turn."""

    def __init__(self, space: Space, trees: Sequence[Tree]) -> None:
        self._space, self._trees = space, trees

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return dict(distributions(self._space))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return dict(params_of(self._space, self._trees[trial.number % len(self._trees)]))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401  # Optuna's signature
        raise AssertionError(param_name)  # every parameter is one of the tree's


class Knowing(Scripted):
    """Takes trees for as good as it was told, whatever comes out."""

    def __init__(
        self, space: Space, trees: Sequence[Tree], believed: Callable[[Tree], float]
    ) -> None:
        super().__init__(space, trees)
        self._believed = believed

    def estimates(self, study: Study, trees: Sequence[Tree]) -> np.ndarray:
        return np.array([self._believed(tree) for tree in trees])


def trees_of(texts: Sequence[str]) -> list[Tree]:
    return [Tree.parse(text) for text in texts]


def by_name(qualities: Mapping[str, float]) -> Callable[[Tree], float]:
    return lambda tree: qualities[str(tree)]
