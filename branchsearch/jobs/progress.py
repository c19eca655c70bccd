"""What a running job says of itself while it runs."""

from dataclasses import dataclass
from typing import Protocol

#: The steps of a job, in order.
STEPS = ("plan", "baselines", "affinity", "search", "confirm", "export", "report")


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a step is that trains networks.

    Attributes:
        total: Trainings that the step needs.
        done: Trained to the end.
        stopped: Ended early.
        running: At this moment.
        failed: Without a result.
        best: The best delta so far, percent; None before there is one.
    """

    total: int
    done: int
    stopped: int = 0
    running: int = 0
    failed: int = 0
    best: float | None = None


class Progress(Protocol):
    """Hears of a job's progress; called by the process that drives it."""

    def enter(self, step: str) -> None:
        """A step begins; one of ``STEPS``."""
        ...

    def stand(self, standing: Standing) -> None:
        """The step is as far as that."""
        ...


class Silent:
    """Says nothing to anybody."""

    def enter(self, step: str) -> None:
        """Nothing."""

    def stand(self, standing: Standing) -> None:
        """Nothing."""
