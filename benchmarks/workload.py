"""Trainings of a fixed number of steps; as a program, a bare loop over them.

``python -m benchmarks.workload COUNT EPOCHS STEPS`` runs COUNT of them one after another in a plain
process and prints as JSON what each of them reported last, and the process's memory.
"""

import json
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import typer

from benchmarks.network import ByHand, stepping


@dataclass(frozen=True, slots=True)
class Amount:
    """How much a training does: ``epochs`` reports, ``steps`` steps before each."""

    epochs: int
    steps: int


def train(amount: Amount) -> Iterator[dict[str, float]]:
    """Take the steps on one thread, and report after every epoch.

    Yields ``began`` and ``ended`` (wall clock, which processes share), ``busy`` (seconds in steps
    so far: waiting for whoever takes the reports is not in it) and ``mib`` (peak of the process).
    """
    began, busy = time.time(), 0.0
    torch.manual_seed(0)
    torch.set_num_threads(1)
    step = stepping(ByHand(), torch.randn(32, 3, 32, 32))
    for _ in range(amount.epochs):
        epoch_began = time.perf_counter()
        for _ in range(amount.steps):
            step()
        busy += time.perf_counter() - epoch_began
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield {"began": began, "ended": time.time(), "busy": busy, "mib": mib}


def steps_in(seconds: float) -> int:
    """About how many steps this machine takes in so long."""
    # the fastest of some tries: the first steps are slow, and others use the machine
    fastest = min(list(train(Amount(1, 10)))[-1]["busy"] for _ in range(6))
    return max(1, round(seconds * 10 / fastest))


def main(count: int, epochs: int, steps: int) -> None:
    """Run so many trainings in a row."""
    list(train(Amount(1, 10)))  # as a warmed-up worker
    print(json.dumps([list(train(Amount(epochs, steps)))[-1] for _ in range(count)]))


if __name__ == "__main__":
    typer.run(main)
