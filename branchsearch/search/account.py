"""What every attempt at a training takes, as the engine tells it while it goes on."""

from collections.abc import Mapping
from typing import Any, Protocol


class Account(Protocol):
    """Hears of every attempt at a training; called by the process that drives the trainings.

    A key has one attempt at a time, and as many as its training is run again.
    """

    def began(self, key: str) -> None:
        """A process has begun with a training, and is held from now on."""
        ...

    def reported(self, key: str, report: Mapping[str, Any]) -> None:
        """A training has said how it goes."""
        ...

    def alive(self) -> None:
        """Whatever has begun and not ended still goes on; said every few seconds."""
        ...

    def ended(
        self, key: str, how: str, *, reason: str | None = None, trace: str | None = None
    ) -> None:
        """A process is free again.

        Args:
            key: Of the training.
            how: ``ended``, by itself or because its source stopped it, or a ``Failure``.
            reason: Of a failure, in words.
            trace: Where it happened.
        """
        ...


class Unaccounted:
    """Keeps nothing."""

    def began(self, key: str) -> None:
        """Nothing."""

    def reported(self, key: str, report: Mapping[str, Any]) -> None:
        """Nothing."""

    def alive(self) -> None:
        """Nothing."""

    def ended(
        self, key: str, how: str, *, reason: str | None = None, trace: str | None = None
    ) -> None:
        """Nothing."""
