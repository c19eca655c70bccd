"""A running job on a terminal's standard error; on anything else one line a step."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from branchsearch.jobs.progress import STEPS, Standing


def note(text: str) -> None:
    """Say on standard error what is being done, where somebody looks on."""
    console = Console(stderr=True)
    if console.is_terminal:
        console.print(text, highlight=False)


class Shown:
    """A job's progress.

    Args:
        expected: Estimated seconds of the steps that train, by step.
        console: Where to; standard error.
    """

    def __init__(self, expected: Mapping[str, float], console: Console) -> None:
        self._left = _TimeLeft(expected)
        self._console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[standing]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._row: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def enter(self, step: str) -> None:
        """Show that a step begins."""
        self._left.enter(step)
        if self._row is not None:
            self._bar.remove_task(self._row)
        self._row = self._bar.add_task(f"{_number(step)} {step}", total=None, standing="")
        say_step(step, self._console)

    def stand(self, standing: Standing) -> None:
        """Show how far the step is."""
        ended = standing.done + standing.stopped
        self._left.stand(ended, standing.total)
        parts = [f"{ended}/{standing.total} trained", f"{standing.running} running"]
        if standing.stopped:
            parts.append(f"{standing.stopped} stopped early")
        if standing.failed:
            parts.append(f"{standing.failed} failed")
        if standing.best is not None:
            parts.append(f"best Δ {standing.best:+.2f} %")
        parts.append(f"about {duration(self._left.seconds())} left")
        if self._row is not None:
            self._bar.update(
                self._row, total=standing.total, completed=ended, standing=" · ".join(parts)
            )


def say_step(step: str, console: Console) -> None:
    """Say that a step begins, where there is no bar that would."""
    if not console.is_terminal:
        console.out(f"step {_number(step)}: {step}", highlight=False)


def _number(step: str) -> str:
    return f"{STEPS.index(step) + 1}/{len(STEPS)}"


class _TimeLeft:
    """How long the whole job will take, from what was estimated and how fast it really goes."""

    def __init__(self, expected: Mapping[str, float]) -> None:
        self._expected = expected
        self._before = 0.0  # estimated seconds of the steps that are over
        self._step, self._share = "", 0.0
        self._began: tuple[float, float] | None = None  # time, and work done, of the first training

    def enter(self, step: str) -> None:
        self._before += self._expected.get(self._step, 0.0)
        self._step, self._share = step, 0.0

    def stand(self, ended: int, total: int) -> None:
        self._share = ended / total if total else 1.0
        if self._began is None:
            self._began = time.monotonic(), self._done()

    def seconds(self) -> float:
        left = sum(self._expected.values()) - self._done()
        if self._began is None:
            return left
        began, done_then = self._began
        done = self._done() - done_then
        return left * (time.monotonic() - began) / done if done > 0 else left

    def _done(self) -> float:
        return self._before + self._share * self._expected.get(self._step, 0.0)


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> [duration(seconds) for seconds in (4.4, 119, 120, 5400, 7200)]
    ['4 s', '119 s', '2 min', '90 min', '2 h']
    """
    if seconds < 120:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"
