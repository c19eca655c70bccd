"""RSA of 40 tasks at 5 places with 500 images: against SciPy's loops and NumPy's products alone.

Each task's features are drawn just before they are used, so that no more than one task's are held;
drawing them is not timed. Per task, ours and NumPy's symmetric product of the same matrix take
turns. SciPy (``pdist`` by correlation, then ``spearmanr`` of every two tasks) is measured on some
tasks of each place and multiplied, since every task and every pair takes it as long;
``--reference-tasks 40`` measures all. Its affinities must be ours.

Times are those of one thread, in seconds of its processor, so that others who use the machine do
not count. Then the same is run on two threads, and on the GPU where there is one, by the wall
clock. All are sums. Memory is what the process holds at most while ours runs, less what it held
before: it includes the features of one task.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import typer
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from benchmarks.measure import MIB, say
from branchsearch.affinity.evidence import Gram, gram
from branchsearch.affinity.rsa import RSA

_FLOORS, _CEILING = {10_000: 25.0, 100_000: 18.0}, 1.6
_THREADS = int(os.environ.get("OMP_NUM_THREADS", "0"))


@dataclass(slots=True)
class Times:
    """Seconds for all tasks of all places.

    Attributes:
        ours: Products, dissimilarities, ranks and correlations.
        products: NumPy's symmetric products (on a GPU: PyTorch's) of the same features.
        scipy: SciPy's loops, multiplied up from those that were run; 0 where none were.
        mib: Peak memory of ours.
    """

    ours: float = 0.0
    products: float = 0.0
    scipy: float = 0.0
    mib: float = 0.0


def measure(
    columns: int, places: int, tasks: int, images: int, reference_tasks: int, device: str
) -> Times:
    """Run all sides over the same features."""
    times = Times()
    for place in range(places):
        grams: list[Gram] = []
        rdms = []
        before = _held_mib(device)
        for task in range(tasks):
            features = _features(place, task, images, columns).to(device)
            for side in ("ours", "products") if task % 2 else ("products", "ours"):
                began = _now(device)
                if side == "ours":
                    grams.append(gram(features))
                    times.ours += _now(device) - began
                else:
                    _products(features)
                    times.products += _now(device) - began
            del features
        began = _now(device)
        found = RSA.values([grams])[0]
        times.ours += _now(device) - began
        times.mib = max(times.mib, _peak_mib(device) - before)
        for task in range(reference_tasks):
            rows = _features(place, task, images, columns).double().numpy()
            began = _now("cpu")
            rdms.append(pdist(rows, "correlation"))
            times.scipy += (_now("cpu") - began) * tasks / reference_tasks
        pairs = [(a, b) for a in range(reference_tasks) for b in range(a)]
        for a, b in pairs:
            began = _now("cpu")
            expected = spearmanr(rdms[a], rdms[b]).statistic
            times.scipy += (_now("cpu") - began) * tasks * (tasks - 1) / 2 / len(pairs)
            np.testing.assert_allclose(found[a, b], expected, atol=1e-5)
    return times


def _features(place: int, task: int, images: int, columns: int) -> torch.Tensor:
    """As after a ReLU, with something that all tasks share."""
    draw = torch.Generator().manual_seed(1000 * place + task)
    own = torch.randn(images, columns, generator=draw)
    shared = torch.randn(images, 16, generator=torch.Generator().manual_seed(place))
    own[:, : columns // 16 * 16].view(images, -1, 16).add_(shared[:, None])
    return own.relu_()


def _products(features: torch.Tensor) -> None:
    if features.is_cuda:
        features @ features.T
    else:
        rows = features.numpy()
        rows @ rows.T


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.process_time() if device == "cpu" and _THREADS == 1 else time.perf_counter()


def _held_mib(device: str) -> float:
    """What is held now, from which a new peak is counted."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / MIB
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak
    return _status_mib("VmRSS")


def _peak_mib(device: str) -> float:
    return torch.cuda.max_memory_allocated() / MIB if device == "cuda" else _status_mib("VmHWM")


def _status_mib(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (kib,) = (line.split()[1] for line in lines if line.startswith(key))
    return int(kib) / 1024


def _in_a_process(threads: int, device: str, **amounts: int) -> Times:
    """Measure in a fresh process: the number of threads is settled when NumPy is imported."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    asked = json.dumps({"device": device, **amounts})
    command = [sys.executable, "-m", "benchmarks.affinity", "--one", asked]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return Times(**json.loads(done.stdout.splitlines()[-1]))


def main(*, quick: bool = False, reference_tasks: int = 4, one: str = "") -> None:
    """Measure; ``--quick`` only shows that it runs. ``--one`` is how it calls itself."""
    if one:
        torch.set_num_threads(_THREADS)
        gram(torch.randn(500, 5000))  # libraries wake up
        print(json.dumps(asdict(measure(**json.loads(one)))))
        return
    amounts = {"tasks": 40, "images": 500, "reference_tasks": reference_tasks}
    sizes = [(10_000, 5), (100_000, 1)]
    if quick:
        amounts, sizes = {"tasks": 4, "images": 40, "reference_tasks": 2}, [(1000, 2)]
    lines, figures = [], {}
    for columns, places in sizes:
        asked = {"columns": columns, "places": places, **amounts}
        runs = {"one thread": _in_a_process(1, "cpu", **asked)}
        if not quick:
            runs["two threads"] = _in_a_process(2, "cpu", **asked)
        if torch.cuda.is_available():
            runs["GPU"] = _in_a_process(1, "cuda", **asked | {"reference_tasks": 2})
        lines.append(
            f"{amounts['tasks']} tasks × {places} places × {amounts['images']} images × "
            f"{columns:,} features"
        )
        for name, times in runs.items():
            lines.append(
                f"  {name:12} ours {times.ours:8.3f} s, products alone {times.products:8.3f} s "
                f"({times.ours / times.products:.2f}×), SciPy {times.scipy:9.3f} s "
                f"({times.scipy / times.ours:.1f}×), peak {times.mib:.0f} MiB"
            )
        figures[columns] = runs
    first, last = (figures[size[0]]["one thread"] for size in (sizes[0], sizes[-1]))
    floors = [_FLOORS.get(columns, 1.0) for columns, _ in (sizes[0], sizes[-1])]
    ratio, wide = first.scipy / first.ours, last.scipy / last.ours
    products = max(first.ours / first.products, last.ours / last.products)
    lines.append(
        f"to reach: {floors[0]:g}× SciPy and {floors[1]:g}× with more features; "
        f"at most {_CEILING}× the products"
    )
    say(
        lines,
        {
            "name": "affinity",
            "ratio": ratio,
            "ratio_at_100000": wide,
            "ratio_to_products": products,
            "seconds": first.ours,
            "reference_seconds": first.scipy,
            "products_seconds": first.products,
            "peak_mib": max(first.mib, last.mib),
            "floor": floors[0],
            "floor_at_100000": floors[1],
            "ceiling_to_products": _CEILING,
            "reached": ratio >= floors[0] and wide >= floors[1] and products <= _CEILING,
        },
    )


if __name__ == "__main__":
    typer.run(main)
