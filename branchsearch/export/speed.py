"""How fast networks predict, and in how much memory, measured here and now."""

import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

#: Rounds in which networks are timed, at least, and seconds.
_ROUNDS, _SECONDS = 3, 0.5

_MIB = 2**20


@torch.no_grad()
def latencies(
    networks: Sequence[nn.Module], sizes: Sequence[tuple[int, int]], *, batch: int
) -> list[float]:
    """Seconds that each network takes for a batch on the CPU: the fastest of several, in turn.

    Args:
        networks: In evaluation mode, on the CPU.
        sizes: Height and width of each one's images.
        batch: Images at once.
    """
    images = [torch.zeros(batch, 3, *size) for size in sizes]
    fastest = [math.inf] * len(networks)
    for network, given in zip(networks, images, strict=True):
        network(given)  # the first one also allocates
    ends, rounds = time.perf_counter() + _SECONDS * len(networks), 0
    while rounds < _ROUNDS or time.perf_counter() < ends:
        rounds += 1
        for number, (network, given) in enumerate(zip(networks, images, strict=True)):
            began = time.perf_counter()
            network(given)
            fastest[number] = min(fastest[number], time.perf_counter() - began)
    return fastest


@torch.no_grad()
def peak_mib(network: nn.Module, size: tuple[int, int], *, batch: int) -> float:
    """The most memory in MiB that predicting a batch takes on the CPU, weights included.

    From PyTorch's own allocator: what a library such as oneDNN takes for itself is not in it.
    """
    images = torch.zeros(batch, 3, *size)
    network(images)
    with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        network(images)
    with tempfile.TemporaryDirectory(prefix="branchsearch-") as folder:
        file = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(file))
        events = json.loads(file.read_text())["traceEvents"]
    changes = sorted(
        (event["ts"], event["args"]["Ev Idx"], event["args"]["Bytes"])
        for event in events
        if event["name"] == "[memory]"
    )
    most = max(accumulate((change for _, _, change in changes), initial=0))
    weights = sum(
        tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()
    )
    return float(weights + images.numel() * images.element_size() + most) / _MIB


@contextmanager
def _quiet() -> Iterator[None]:
    """Throw away what a library writes on standard error past Python, as torch's profiler does."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
