"""What the benchmarks share: timing in turn, memory, and the lines they print."""

import gc
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

MIB = 2**20


def in_turn(runs: list[Callable[[], None]], rounds: int) -> list[list[float]]:
    """Time each of several runs once a round; shape [runs, rounds], seconds.

    Every other round goes backwards, so that none always comes after the same neighbour.
    """
    order = range(len(runs))
    seconds: list[list[float]] = [[] for _ in runs]
    gc.collect()
    for number in range(rounds):
        for index in order if number % 2 == 0 else reversed(order):
            began = time.perf_counter()
            runs[index]()
            seconds[index].append(time.perf_counter() - began)
    return seconds


def peak_mib(step: Callable[[], None], device: torch.device) -> float:
    """The most memory in MiB that tensors made during a step hold at once.

    From PyTorch's own allocators, so that two equal steps give two equal numbers; what a library
    such as oneDNN takes for itself is not in it.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    with tempfile.TemporaryDirectory(prefix="branchsearch-") as folder:
        file = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(file))
        events = json.loads(file.read_text())["traceEvents"]
    changes = sorted(
        (event["ts"], event["args"]["Ev Idx"], event["args"]["Bytes"])
        for event in events
        if event["name"] == "[memory]"
    )
    held = most = 0
    for _, _, change in changes:
        held += change
        most = max(most, held)
    return most / MIB


def process_mib() -> float:
    """The most memory in MiB that this process, or one that it has waited for, ever held."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose) / 1024


def say(lines: list[str], figures: dict[str, str | float | bool]) -> None:
    """Print lines to read, and last the figures as one JSON object."""
    print(*lines, sep="\n")
    rounded = {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in figures.items()
    }
    print(json.dumps(rounded))
