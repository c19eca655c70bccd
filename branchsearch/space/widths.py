"""How many branches a tree has at each stage, and how many trees have them so.

Seen from the last stage up, a tree is a chain of partitions: T tasks into the branches of the last
stage, those into the branches of the stage above, and so on. How many ways there are depends on
the widths w alone: Π over stages of S₂(w[s + 1], w[s]), with w[S] = T and S₂ Stirling's number of
the second kind. So all that concerns widths, and costs that count copies, is settled by sums over
sequences of widths, at any number of tasks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from branchsearch.space.limits import Limits
from branchsearch.space.partitions import count_partitions

#: So many partial sums are kept and no more; only costs over many tasks and stages need as many.
_KEPT = 2_000_000

#: What has been spent on each bounded cost; None once no later stage can pass a bound.
_Spent = tuple[int, ...] | None


class CannotCount(ValueError):
    """A space is too large, or limited in too involved a way, for exact counts and ranks."""


@dataclass(frozen=True)
class WidthSequences:
    """The sequences of widths that limits allow, in lexicographic order, with the trees of each.

    Attributes:
        tasks: T.
        may_split: Shape [S]: where a width may differ from the one before, 1 before the first.
        limits: On widths and costs; those on pairs are not looked at.
    """

    tasks: int
    may_split: tuple[bool, ...]
    limits: Limits
    _kept: dict[tuple[int, int, _Spent], int] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """Every sequence that some tree has, lazily."""
        yield from self._longer((), self._start())

    def trees(self) -> int:
        """How many trees there are over all sequences, exact.

        Raises:
            CannotCount: Bounded costs take too many different values.
        """
        return sum(ways for _, _, ways in self._steps(-1, 1, self._start()))

    def at(self, rank: int) -> tuple[tuple[int, ...], int]:
        """The widths of the tree of a rank, and its rank among the trees of these widths."""
        widths: list[int] = []
        above, spent, chains = 1, self._start(), 1
        for stage in range(len(self.may_split)):
            for width, now, ways in self._steps(stage - 1, above, spent):
                if rank < chains * ways:
                    chains *= count_partitions(width, above)
                    above, spent = width, now
                    break
                rank -= chains * ways
            widths.append(above)
        return tuple(widths), rank

    def before(self, widths: tuple[int, ...]) -> int:
        """How many trees have an earlier sequence of widths; the sequence must be allowed."""
        earlier, above, spent, chains = 0, 1, self._start(), 1
        for stage, taken in enumerate(widths):
            for width, now, ways in self._steps(stage - 1, above, spent):
                if width == taken:
                    chains *= count_partitions(width, above)
                    above, spent = width, now
                    break
                earlier += chains * ways
        return earlier

    def _steps(self, stage: int, width: int, spent: _Spent) -> Iterator[tuple[int, _Spent, int]]:
        """What may follow: the next width, what is spent then, and how many trees that leads to.

        Trees are counted as ways to refine one chain of partitions that ends at ``stage``.
        """
        for after, now in self._next(stage + 1, width, spent):
            ways = count_partitions(after, width) * self._ways(stage + 1, after, now)
            if ways:
                yield after, now, ways

    def _ways(self, stage: int, width: int, spent: _Spent) -> int:
        """How many ways a chain that ends at ``stage`` with that width goes on to the tasks."""
        if stage == len(self.may_split) - 1:
            return count_partitions(self.tasks, width)
        key = stage, width, spent
        if key not in self._kept:
            if len(self._kept) >= _KEPT:
                raise CannotCount(
                    f"the costs of {self.tasks} tasks over {len(self.may_split)} stages take too "
                    "many values to count the trees within the budget; they can still be drawn"
                )
            self._kept[key] = sum(ways for _, _, ways in self._steps(stage, width, spent))
        return self._kept[key]

    def _next(self, stage: int, above: int, spent: _Spent) -> Iterator[tuple[int, _Spent]]:
        """The widths that a stage may have, and what is spent with each."""
        few = max(above, self.limits.fewest[stage] if self.limits.fewest else 1)
        many = min(self.tasks, self.limits.most[stage] if self.limits.most else self.tasks)
        for width in range(few, (many if self.may_split[stage] else min(many, above)) + 1):
            now = self._spend(stage, width, spent)
            if now is not False:
                yield width, now

    def _start(self) -> _Spent:
        return self._freed(-1, tuple(bound.rest for bound in self.limits.bounds))

    def _spend(self, stage: int, width: int, spent: _Spent) -> _Spent | Literal[False]:
        """What is spent after a stage; False where a bound is passed sooner or later."""
        if spent is None:
            return None
        bounds = self.limits.bounds
        now = tuple(
            so_far + width * bound.prices[stage]
            for so_far, bound in zip(spent, bounds, strict=True)
        )
        for so_far, bound in zip(now, bounds, strict=True):
            if so_far + width * sum(bound.prices[stage + 1 :]) > bound.most:
                return False
        return self._freed(stage, now)

    def _freed(self, stage: int, spent: tuple[int, ...]) -> _Spent:
        """Forget what was spent where even T branches from here on pass no bound."""
        dearest = (
            so_far + self.tasks * sum(bound.prices[stage + 1 :]) <= bound.most
            for so_far, bound in zip(spent, self.limits.bounds, strict=True)
        )
        return None if all(dearest) else spent

    def _longer(self, widths: tuple[int, ...], spent: _Spent) -> Iterator[tuple[int, ...]]:
        if len(widths) == len(self.may_split):
            yield widths
            return
        for width, now in self._next(len(widths), widths[-1] if widths else 1, spent):
            yield from self._longer((*widths, width), now)
