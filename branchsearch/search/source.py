"""Where trainings come from, as the engine sees it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Work:
    """One training to run.

    Attributes:
        key: Names it to its source.
        training: What the training function is called with; picklable.
    """

    key: str
    training: Any


class Source(Protocol):
    """Hands out trainings and hears how they go.

    A training reports mappings. Whatever keys they have is between it and its source, except
    ``failed``: the reason, when it did not come to its end and is not run again; ``outcome`` is
    then a ``branchsearch.search.failure.Failure``.
    """

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing will be handed out any more."""
        ...

    def next(self) -> Work | None:
        """The next training; None when there is none now."""
        ...

    def report(self, key: str, report: Mapping[str, Any]) -> bool:
        """Hear from a training; False stops it."""
        ...

    def close(self, key: str) -> None:
        """Hear that a training has ended: by itself, stopped, or because its process died."""
        ...


class TrainingFailed(RuntimeError):
    """A training that others need did not come to its end."""


class Listed:
    """Given trainings, each once, keeping the last report of each.

    Args:
        works: With different keys.
        ended: Called with a work's key whenever one has ended.
    """

    def __init__(
        self, works: Iterable[Work], ended: Callable[[str], None] = lambda _: None
    ) -> None:
        self._left = list(works)[::-1]
        self._ended = ended
        self._running: set[str] = set()
        self.last: dict[str, Mapping[str, Any]] = {}
        self.failed: dict[str, str] = {}

    @property
    def finished(self) -> bool:
        """Whether all have ended, or one has failed and no other runs."""
        return not self._running and (not self._left or bool(self.failed))

    def next(self) -> Work | None:
        """The next one in order; none after a failure, since all are needed."""
        if not self._left or self.failed:
            return None
        work = self._left.pop()
        self._running.add(work.key)
        return work

    def report(self, key: str, report: Mapping[str, Any]) -> bool:
        """Keep the report."""
        if "failed" in report:
            self.failed[key] = report["failed"]
        self.last[key] = report
        return True

    def close(self, key: str) -> None:
        """Note the end of a training."""
        self._running.discard(key)
        if key not in self.last:
            self.failed.setdefault(key, "its process died before it reported anything")
        self._ended(key)
