"""An exported network's predictions against a network of its own for each task, and one by hand.

Batches of 32 in four runtimes: torch as it is, torch.compile, torch.export's ``model.pt2`` and ONNX
Runtime on ``model.onnx``. In each, the exported network takes turns with the single-task networks,
which went through the same runtime, on one CPU thread; the times compared are minima. What counts
is the ratio of the two, over the ratio of their multiply-adds: 1 where sharing saves what it
promises. In torch as it is, the module written by hand takes its turn, too.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import torch
import typer
from torch import Tensor, nn

from benchmarks.measure import in_turn, peak_mib, say
from benchmarks.network import networks
from branchsearch.export.folder import export
from branchsearch.export.graphs import at_rest
from branchsearch.export.onnx_files import Session
from branchsearch.export.promise import Promise
from branchsearch.export.sliced import sliced
from branchsearch.task import Direction, Task

_REACH = 1.10
_BATCH = 32
_MEAN, _STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

#: What predicts a batch.
_Predict = Callable[[Tensor], object]


def main(*, rounds: int = 40, size: int = 64, quick: bool = False) -> None:
    """Measure; ``--quick`` only shows that it runs, in torch as it is."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    ours, by_hand = networks(torch.device("cpu"))
    tree = ours.tree
    tasks = [Task(name, "normals", "angular_error", Direction.MINIMIZE) for name in tree.tasks]
    promise = Promise.of(ours, tasks=tasks, size=(size, size), mean=_MEAN, std=_STD)
    promised = promise.cost.multiply_adds / promise.apart.multiply_adds
    images = torch.randn(_BATCH, 3, size, size)
    formats = () if quick else ("pt2", "onnx")
    with TemporaryDirectory() as place, torch.no_grad():
        folders = {
            name: export(
                Path(place) / name,
                network=part,
                tasks=[task for task in tasks if task.name in part.tree.tasks],
                size=(size, size),
                facts={},
                formats=formats,
                mean=_MEAN,
                std=_STD,
            )
            for name, part in {
                "whole": at_rest(ours),
                **({} if quick else {task: sliced(ours, [task]) for task in tree.tasks}),
            }.items()
        }
        alone: list[nn.Module] = [at_rest(sliced(ours, [task])) for task in tree.tasks]
        whole = _loaded(folders["whole"])
        hand = by_hand.eval()
        for task, expected in hand(images).items():
            torch.testing.assert_close(whole(images)[task], expected)
        runs = {"torch": (whole, alone)}
        if not quick:
            runs["compile"] = (_compiled(whole), [_compiled(one) for one in alone])
            runs["pt2"] = _each(folders, tree.tasks, _graph)
            runs["onnx"] = _each(folders, tree.tasks, _session)
        found = {name: _ratio(run, images, 2 if quick else rounds) for name, run in runs.items()}
        hand_times = in_turn([_call(hand, images), _call(whole, images)], 2 if quick else rounds)
        mib = peak_mib(_call(whole, images), torch.device("cpu"))
    by_hand_ratio = min(hand_times[1]) / min(hand_times[0])
    kept = {name: seconds / reference / promised for name, (seconds, reference) in found.items()}
    say(
        [
            f"{tree}, batch {_BATCH} of {size}x{size}, predictions on one CPU thread",
            f"multiply-adds of the single-task networks' that are left: {promised:.3f}",
            *(
                f"{name:8} {1000 * seconds:8.2f} ms, single-task networks "
                f"{1000 * reference:8.2f} ms: {seconds / reference:.3f}, "
                f"{kept[name]:.3f} of what is promised"
                for name, (seconds, reference) in found.items()
            ),
            f"the module by hand: {by_hand_ratio:.3f}; to reach: {_REACH} of what is promised",
        ],
        {
            "name": "export",
            "ratio": max(kept.values()),
            "seconds": found["torch"][0],
            "reference_seconds": found["torch"][1],
            "peak_mib": mib,
            "promised": promised,
            "by_hand_ratio": by_hand_ratio,
            **{f"{name}_ratio": ratio for name, ratio in kept.items()},
            "floor": _REACH,
            "reached": max(kept.values()) <= _REACH,
        },
    )


def _loaded(folder: Path) -> nn.Module:
    """What an exported folder's ``load`` gives."""
    spec = importlib.util.spec_from_file_location(folder.name, folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: nn.Module = module.load(folder)
    return network


def _each(
    folders: Mapping[str, Path], tasks: tuple[str, ...], run: Callable[[Path, list[str]], Any]
) -> tuple[Any, list[Any]]:
    return run(folders["whole"], list(tasks)), [run(folders[task], [task]) for task in tasks]


def _compiled(network: nn.Module) -> Any:  # noqa: ANN401  # as torch gives it
    return torch.compile(network)


def _graph(folder: Path, _: list[str]) -> nn.Module:
    return torch.export.load(folder / "model.pt2").module()


def _session(folder: Path, tasks: list[str]) -> nn.Module:
    return Session(folder / "model.onnx", tasks)


def _call(predict: _Predict, images: Tensor) -> Callable[[], None]:
    def call() -> None:
        with torch.no_grad():
            predict(images)

    return call


def _ratio(
    run: tuple[_Predict, Sequence[_Predict]], images: Tensor, rounds: int
) -> tuple[float, float]:
    """Seconds of the whole, and of all others together."""
    whole, alone = run

    def apart() -> None:
        with torch.no_grad():
            for one in alone:
                one(images)

    calls = [_call(whole, images), apart]
    in_turn(calls, 2)  # the first ones are slow, and compile
    seconds, reference = (min(each) for each in in_turn(calls, rounds))
    return seconds, reference


if __name__ == "__main__":
    typer.run(main)
