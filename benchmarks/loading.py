"""Images a second of the loader against images a second of a training step.

Both take the same batches of scenes with four targets, mirrored, zoomed and coloured by chance: the
loader only makes them, the step trains the four-task tree of ``benchmarks.network`` on one that
lies ready. Two sources: arrays kept in memory-mapped files, and images and maps in PNG and NPY
files that are decoded whenever they are asked for. Last, an epoch of steps on loaded batches
against one on batches that lie ready says what loading costs a training: nothing where a core is
free for the worker, and one part in the ratio where step and worker share one. All on one thread
for the step, and one worker for the loader; on the GPU where there is one.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import typer
from PIL import Image
from torch import nn

from benchmarks.measure import in_turn, process_mib, say
from benchmarks.network import ByHand
from branchsearch.datasets.augmentation import Augmentation, draws
from branchsearch.datasets.dataset import Dataset
from branchsearch.datasets.loading import Batch, load, shuffled
from branchsearch.datasets.manifest import manifest
from branchsearch.datasets.scenes import Scenes

#: From either source, the loader must be at least as fast as the step that it feeds.
_FLOOR = 1.0
_BATCH = 32

_COLUMNS = {
    "seg": {"kind": "segmentation", "classes": 4},
    "depth": {"kind": "depth"},
    "normals": {"kind": "normals"},
    "edges": {"kind": "edges"},
}


def written(data: Dataset, folder: Path) -> Path:
    """The training images of a data set in files, with a manifest of them."""
    part, lines = data.parts["train"], ["image,seg,depth,normals,edges"]
    for number in range(len(part)):
        Image.fromarray(part.images[number].transpose(1, 2, 0)).save(folder / f"{number}.png")
        Image.fromarray(part.targets["seg"][number]).save(folder / f"{number}-seg.png")
        Image.fromarray(part.targets["edges"][number, 0]).save(folder / f"{number}-edges.png")
        for name in ("depth", "normals"):
            np.save(folder / f"{number}-{name}.npy", part.targets[name][number])
        names = (".png", "-seg.png", "-depth.npy", "-normals.npy", "-edges.png")
        lines.append(",".join(f"{number}{name}" for name in names))
    path = folder / "scenes.csv"
    path.write_text("\n".join(lines))
    return path


def epoch(data: Dataset, number: int, device: torch.device, workers: int) -> Iterator[Batch]:
    """The batches of an epoch."""
    part = data.parts["train"]
    return load(
        part,
        shuffled(len(part), _BATCH, seed=0, epoch=number),
        labels=data.labels,
        prepare=data.prepare,
        device=device,
        augmentation=Augmentation(flip=0.5, zoom=1.3, colour=0.2),
        chance=draws(len(part), seed=0, epoch=number),
        workers=workers,
    )


def step(network: nn.Module, batch: Batch) -> None:
    """Forward and backward on a batch, finished when it returns."""
    outputs = network(batch.images)
    torch.autograd.backward([output.square().mean() for output in outputs.values()])
    network.zero_grad()
    if batch.images.is_cuda:
        torch.cuda.synchronize()


def images_per_second(run: Callable[[], int], rounds: int) -> float:
    """The best of several runs, each of which says how many images it took."""
    best = 0.0
    for _ in range(rounds):
        began = time.perf_counter()
        images = run()
        best = max(best, images / (time.perf_counter() - began))
    return best


def loading(data: Dataset, device: torch.device, workers: int) -> Callable[[], int]:
    """Load an epoch, and count its images."""

    def run() -> int:
        images = sum(len(batch.positions) for batch in epoch(data, 0, device, workers))
        if device.type == "cuda":
            torch.cuda.synchronize()
        return images

    return run


def main(*, size: int = 32, images: int = 1024, rounds: int = 9, quick: bool = False) -> None:
    """Measure; ``--quick`` only shows that it runs."""
    size, images, rounds = (16, 64, 2) if quick else (size, images, rounds)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with TemporaryDirectory(prefix="branchsearch-") as name:
        folder = Path(name)
        few = {"validation": 1, "test": 1, "probe": 1, "seed": 0}
        kept = Scenes(size=size, train=images, **few).open(folder)
        (folder / "files").mkdir()
        path = written(kept, folder / "files")
        listed = manifest(
            path=str(path),
            size=size,
            tasks=_COLUMNS,
            cache_mib=0,
            shares={"train": 0.9, "validation": 0.04, "test": 0.03, "probe": 0.03},
        )
        files = listed.open(folder)
        measure(kept, files, device, rounds, size)


def measure(kept: Dataset, files: Dataset, device: torch.device, rounds: int, size: int) -> None:
    """Compare loaders with steps, and print what came out."""
    network = ByHand().to(device=device)
    ready = list(epoch(kept, 0, device, workers=0))

    def steps_on_ready() -> int:
        for batch in ready:
            step(network, batch)
        return sum(len(batch.positions) for batch in ready)

    def trained_on_ready() -> None:
        steps_on_ready()

    def trained_on_loaded() -> None:
        for batch in epoch(kept, 0, device, workers=1):
            step(network, batch)

    steps_on_ready()  # the first steps are slow
    stepped = images_per_second(steps_on_ready, rounds)
    mapped = images_per_second(loading(kept, device, 1), rounds)
    decoded = images_per_second(loading(files, device, 1), rounds)
    decoded_by_two = images_per_second(loading(files, device, 2), rounds)
    times = in_turn([trained_on_ready, trained_on_loaded], max(2, rounds))
    slowed = min(times[1]) / min(times[0])
    ratio = mapped / stepped
    say(
        [
            f"batches of {_BATCH} images of {size}x{size} with four targets, on {device.type}",
            f"step                       {stepped:9.0f} images/s",
            f"loader, memory-mapped      {mapped:9.0f} images/s  {ratio:6.2f} x the step, "
            f"to reach: {_FLOOR:g}",
            f"loader, PNG and NPY files  {decoded:9.0f} images/s  {decoded / stepped:6.2f} x; "
            f"two workers {decoded_by_two:.0f} images/s",
            f"an epoch on loaded batches takes {slowed:.3f} x one on ready ones",
        ],
        {
            "name": "loading",
            "ratio": ratio,
            "seconds": min(times[1]),
            "reference_seconds": min(times[0]),
            "peak_mib": process_mib(),
            "ratio_files": decoded / stepped,
            "step_images_per_second": stepped,
            "mapped_images_per_second": mapped,
            "files_images_per_second": decoded,
            "files_images_per_second_two_workers": decoded_by_two,
            "slowed": slowed,
            "floor": _FLOOR,
            "reached": min(ratio, decoded / stepped) >= _FLOOR,
            "device": device.type,
        },
    )


if __name__ == "__main__":
    typer.run(main)
