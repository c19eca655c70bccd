"""Searches replayed on a table of trained trees, to judge samplers by.

Every sampler begins with the same random trees and sees the same row of a tree that stands in
several; what it proposes is settled by ``branchsearch.search.replay.nearest``. The regret after n
trainings is the mean quality of the best tree less that of the tree which the sampler would
recommend among the n: the one that it takes for best where it has estimates, else the one that was
seen to be best.

Shape letters: N = trees, R = repeats, P = numbers of trainings from ``start`` to ``trials``.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from branchsearch.search.problem import Problem
from branchsearch.search.replay.measures import hypervolume, spearman
from branchsearch.search.replay.nearest import Nearest
from branchsearch.search.replay.study import Found, MakeSampler, Search
from branchsearch.search.replay.table import CannotReplay, Table
from branchsearch.tree import Tree

#: The baseline that draws every tree uniformly from the table.
RANDOM_TREE = "random_tree"


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """How R repeats of a search went.

    Attributes:
        regret: Shape [R, P], in the unit of quality; never negative.
        spearman: Shape [R]: of the final estimates with the quality of all trees; NaN without.
        hypervolume: Shape [R]: of the trees trained, as a part of that of all trees, in [0, 1];
            NaN where the table has no costs.
        seconds: Shape [R]: how long a repeat took.
    """

    regret: np.ndarray
    spearman: np.ndarray
    hypervolume: np.ndarray
    seconds: np.ndarray


@dataclass(frozen=True, eq=False)
class Replay:
    """What all samplers are judged on alike.

    Attributes:
        table: Of the trees that may be trained; within the budget, where there is one.
        problem: The same trees, as samplers know them.
        trials: Trainings in a search.
        start: So many of them are random trees, before the sampler is asked; at least 1.
        repeats: Searches per sampler, R.
        cost: The name of the cost that counts; None where the table has none.
        seed: Of every random draw.

    Raises:
        CannotReplay: The numbers do not fit each other or the table.
    """

    table: Table
    problem: Problem
    trials: int
    start: int
    repeats: int
    cost: str | None
    seed: int

    def __post_init__(self) -> None:
        trees = len(self.table.trees)
        if not 1 <= self.start <= self.trials:
            raise CannotReplay(
                f"a search starts with 1 ... {self.trials} of its {self.trials} trials at random, "
                f"not with {self.start}"
            )
        if self.trials > trees:
            raise CannotReplay(
                f"{self.trials} trials are asked for, and the table has {trees} allowed trees"
            )
        if self.repeats < 1:
            raise CannotReplay(f"needs at least 1 repeat, not {self.repeats}")

    def of_sampler(self, sampler: MakeSampler) -> Replayed:
        """Search with a sampler."""
        return _together(
            [_Repeat(self, number).searched(sampler) for number in range(self.repeats)]
        )

    def of_random_tree(self) -> Replayed:
        """Train trees in random order."""
        each = [_Repeat(self, number) for number in range(self.repeats)]
        return _together([repeat.at_random() for repeat in each])

    def of_rules(self) -> dict[str, Replayed]:
        """Train one tree, that of a rule, by the rules' names: their regret is the same for all P.

        A tree that is not allowed becomes the nearest that is. Trees that cost the same are drawn
        from. Without costs there is no rule that most cost is best.
        """
        tasks, stages = self.table.tasks, len(self.table.trees[0].branches)
        rules: dict[str, Callable[[np.random.Generator], int]] = {
            "share_all": self._nearest_to(Tree.share_all(tasks, stages)),
            "share_none": self._nearest_to(Tree.share_none(tasks, stages)),
        }
        if self.cost is not None:
            paid = self.table.costs[self.cost]
            (dearest,) = (paid == paid.max()).nonzero()
            rules["most_cost_that_fits"] = lambda random: int(random.choice(dearest))
        return {name: self._of_rule(rule) for name, rule in rules.items()}

    @cached_property
    def nearest(self) -> Nearest:
        """The trees of the table, for the nearest of them."""
        return Nearest(self.table.trees)

    def share_of_front(self, numbers: np.ndarray) -> float:
        """The hypervolume of some trees as a part of that of all; NaN without costs.

        The corner is the worst quality and the highest cost of all trees.
        """
        if self.cost is None:
            return float("nan")
        quality, paid = self.table.quality, self.table.costs[self.cost]
        corner = {"worst": quality.min(), "dearest": paid.max()}
        whole = hypervolume(quality, paid, **corner)
        # where all trees cost the same or are worth the same there is no area
        return hypervolume(quality[numbers], paid[numbers], **corner) / whole if whole else 1.0

    def _nearest_to(self, tree: Tree) -> Callable[[np.random.Generator], int]:
        everything = np.full(len(self.table.trees), True)
        return lambda random: self.nearest.find(tree, everything, random)

    def _of_rule(self, rule: Callable[[np.random.Generator], int]) -> Replayed:
        chosen = [rule(np.random.default_rng((self.seed, n))) for n in range(self.repeats)]
        quality = self.table.quality
        regret = quality.max() - quality[chosen]
        return Replayed(
            regret=np.repeat(regret[:, None], self.trials - self.start + 1, axis=1),
            spearman=np.full(self.repeats, np.nan),
            hypervolume=np.array([self.share_of_front(np.array([number])) for number in chosen]),
            seconds=np.zeros(self.repeats),
        )


class _Repeat:
    """One search. Its start, and the row of each tree, are the same for every sampler."""

    def __init__(self, replay: Replay, number: int) -> None:
        self._replay, self._table = replay, replay.table
        self._seed = replay.seed, number
        random = np.random.default_rng(self._seed)
        self._order = random.permutation(len(self._table.trees))
        # what would come out this time, whenever a tree is trained
        self._rows = [of_tree[random.integers(len(of_tree))] for of_tree in self._table.rows]
        self._seen = self._table.scores[self._rows].mean(axis=1)

    def at_random(self) -> Replayed:
        began = time.perf_counter()
        trained = self._order[: self._replay.trials]
        seen = self._seen[trained]
        numbers = range(self._replay.start, self._replay.trials + 1)
        best = [trained[seen[:n].argmax()] for n in numbers]
        return self._replayed(trained, best, float("nan"), time.perf_counter() - began)

    def searched(self, sampler: MakeSampler) -> Replayed:
        began = time.perf_counter()
        trees = self._table.trees
        left = np.full(len(trees), True)
        left[self._order[: self._replay.start]] = False
        search = Search(
            self._replay.problem.space,
            sampler,
            lambda tree, ties: trees[self._replay.nearest.find(tree, left, ties)],
            seed=self._seed,
        )
        trained = [int(number) for number in self._order[: self._replay.start]]
        for number in trained:
            search.add(trees[number], self._found(number))
        best = [self._recommended(search, trained)]
        for _ in range(self._replay.start, self._replay.trials):
            trial, tree = search.ask()
            number = self._replay.nearest.place(tree)
            left[number] = False
            trained.append(number)
            search.tell(trial, tree, self._found(number))
            best.append(self._recommended(search, trained))
        ranked = self._ranked(search.estimates(trees))
        return self._replayed(np.array(trained), best, ranked, time.perf_counter() - began)

    def _found(self, number: int) -> Found:
        return self._table.found(number, self._rows[number])

    def _recommended(self, search: Search, trained: list[int]) -> int:
        estimates = search.estimates([self._table.trees[number] for number in trained])
        if estimates is None:
            estimates = self._seen[trained]
        return trained[int(np.argmax(estimates))]

    def _ranked(self, estimates: np.ndarray | None) -> float:
        if estimates is None:
            return float("nan")
        return spearman(estimates, self._table.quality)

    def _replayed(
        self, trained: np.ndarray, best: list[int], ranked: float, seconds: float
    ) -> Replayed:
        quality = self._table.quality
        return Replayed(
            regret=quality.max() - quality[best],
            spearman=np.array(ranked),
            hypervolume=np.array(self._replay.share_of_front(trained)),
            seconds=np.array(seconds),
        )


def _together(repeats: list[Replayed]) -> Replayed:
    return Replayed(
        regret=np.stack([repeat.regret for repeat in repeats]),
        spearman=np.stack([repeat.spearman for repeat in repeats]),
        hypervolume=np.stack([repeat.hypervolume for repeat in repeats]),
        seconds=np.stack([repeat.seconds for repeat in repeats]),
    )
