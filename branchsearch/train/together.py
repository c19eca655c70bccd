"""Starts the processes that train one network together on this machine, and hears the first."""

import os
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed
from torch import multiprocessing
from torch.multiprocessing.spawn import ProcessException, spawn

from branchsearch.train.fit import NotFinite
from branchsearch.train.processes import Processes

_Given = TypeVar("_Given")

#: Trains a share: what is trained, the device and which process this is; yields plain reports.
Share = Callable[[_Given, torch.device, Processes], Iterator[dict[str, Any]]]

#: Seconds between two looks at whether the processes are still there.
_WATCH_EVERY = 0.1


def train_together(count: int, share: Share[_Given], given: _Given) -> Iterator[dict[str, Any]]:
    """Train in ``count`` new processes, one per GPU or all on the CPU.

    Dropping the iterator ends them; so does the death of this process.

    Args:
        count: How many.
        share: What each does; a function at the top of a file.
        given: What it is called with; has ``device``, either ``cpu`` or ``cuda``.

    Yields:
        What the first process yields.

    Raises:
        NotFinite: A loss is not a number.
        RuntimeError: A process failed or died, with what it said.
    """
    reports = multiprocessing.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="branchsearch-") as folder:
        started = spawn(  # type: ignore[no-untyped-call]  # torch's own
            _train_share,
            (count, Path(folder) / "meeting", reports, share, given),
            nprocs=count,
            join=False,
        )
        try:
            ended = False
            while not (ended and reports.empty()):
                while not reports.empty():
                    report = reports.get()
                    if isinstance(report, str):
                        raise NotFinite(report)
                    if isinstance(report, _Failed):
                        raise _cause(started.processes, report)
                    yield report
                try:
                    ended = ended or started.join(timeout=_WATCH_EVERY)
                except ProcessException as error:
                    told = None if reports.empty() else reports.get()
                    first = told if isinstance(told, _Failed) else error
                    raise _cause(started.processes, first) from None
        finally:
            for process in started.processes:
                process.terminate()
            for process in started.processes:
                process.join()


class _Failed(NamedTuple):
    """What a process said when it failed."""

    trace: str


def _cause(processes: Sequence[Any], first: _Failed | Exception) -> Exception:
    """Why all ended: one was killed, which the others only felt; else who was first to fail."""
    for rank, process in enumerate(processes):
        process.join(timeout=_WATCH_EVERY)
        code = process.exitcode or 0
        if code < 0 and code != -signal.SIGTERM:  # with that one the others are ended
            return RuntimeError(f"process {rank} was ended by {signal.Signals(-code).name}")
    return RuntimeError(first.trace) if isinstance(first, _Failed) else first


def _train_share(
    rank: int,
    count: int,
    meeting: Path,
    reports: Any,  # noqa: ANN401  # a queue; its type is private
    share: Share[Any],
    given: Any,  # noqa: ANN401
) -> None:
    on_gpus = given.device == "cuda"
    device = torch.device("cuda", rank) if on_gpus else torch.device("cpu")
    if on_gpus:
        torch.cuda.set_device(device)
    else:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the processes are all on this machine
    torch.distributed.init_process_group(
        "nccl" if on_gpus else "gloo",
        init_method=meeting.as_uri(),
        rank=rank,
        world_size=count,
    )
    try:
        for report in share(given, device, Processes(rank, count)):
            if rank == 0:
                reports.put(report)
    except NotFinite as error:  # all processes see the same losses, and end alike
        if rank == 0:
            reports.put(str(error))
    except Exception:
        # before this process ends: those that wait for it fail as well, and would be heard first
        reports.put(_Failed(f"process {rank}: {traceback.format_exc()}"))
        raise
    finally:
        torch.distributed.destroy_process_group()
