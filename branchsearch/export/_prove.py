"""Run in a fresh process, by path: does an exported folder keep what was promised?

``python -I _prove.py FOLDER QUESTION.safetensors PROMISE.json ANSWER.json``

This file imports nothing of branchsearch and sees to it that the folder does not either. Where a
promise is broken it ends with a sentence on standard error and a code that is not 0.
"""

import importlib.util
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

#: Of the largest value of a prediction: what rounding may change.
TOLERANCE = 1e-5

#: Declares what timm needs of torchvision; a file of branchsearch that imports nothing of it.
_OPERATORS = Path(__file__).parents[1] / "backbones" / "operators.py"

#: Steps along the gradients, by the part of the loss that each would take away were it a plane; one
#: must take this part of that. In parts, as a learning rate that suits a network of 50 layers would
#: be lost in the rounding of a small one.
_STEPS, _TAKEN = tuple(10.0**-power for power in range(1, 7)), 0.1

#: Batches that latency is measured on, and for how many seconds each, at least.
_LATENCY_BATCHES, _LATENCY_SECONDS = (1, 32), 0.15

#: Seconds that a measurement may take; a larger batch that would take longer is left out.
_LATENCY_MOST = 20.0

#: What runs, and gives a prediction per task.
_Run = Callable[[Tensor], dict[str, Tensor]]


class _Refuses:
    """An import hook for which branchsearch does not exist."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name.partition(".")[0] == "branchsearch":
            raise ImportError(f"an exported network must do without {name}")


class _AsWritten(SourceFileLoader):
    """Runs what is written; byte code that lies beside it may be of anything."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  # importlib's name
        return self.source_to_code(self.get_data(self.path), self.path)


def main(folder: Path, question: Path, promise: Path, answer: Path) -> None:
    """Check one promise after the other, and write down what was measured."""
    promised = json.loads(promise.read_text())
    torch.set_num_threads(promised["threads"])
    asked = safetensors.torch.load_file(question)
    sys.meta_path.insert(0, _Refuses)
    model = _model(folder / "model.py")
    network = model.load()
    graphs = {graph["file"]: _graph(folder, graph) for graph in promised["graphs"]}
    measured: dict[str, Any] = {
        "outputs": _same_outputs(
            network, model.prepare, asked, promised["tasks"], said="model.py", tolerance=TOLERANCE
        ),
        "graphs": {
            graph["file"]: {
                **_same_outputs(
                    graphs[graph["file"]],
                    model.prepare,
                    asked,
                    promised["tasks"],
                    said=graph["file"],
                    tolerance=graph["tolerance"],
                    on_average=graph["precision"] == "int8",
                    only_size=None if "height" in graph["dynamic"] else promised["size"],
                ),
                "latency": _latencies([graphs[graph["file"]]], promised["size"]),
            }
            for graph in promised["graphs"]
        },
        "cost": _same_cost(network, promised["size"], promised["cost"]),
        "latency": _latency(network, promised),
        "training": _learns(model, network, asked["images_1"]),
        "environment": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "machine": platform.machine(),
            "threads": promised["threads"],
        },
    }
    if (folder / "train.py").exists():
        measured["training"]["train_py"] = _trains(folder, model, promised)
    for package in ("timm", "onnxruntime"):
        if package in sys.modules:
            measured["environment"][package] = sys.modules[package].__version__
    _demand("branchsearch" not in sys.modules, "model.py has imported branchsearch")
    answer.write_text(json.dumps(measured, allow_nan=False))


def _model(path: Path) -> ModuleType:
    try:
        return _imported("model", path)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    _imported("operators", _OPERATORS).declare_missing()
    return _imported("model", path)


def _imported(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, loader=_AsWritten(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _graph(folder: Path, graph: dict[str, Any]) -> _Run:
    """What runs a graph; predictions by task, whatever the graph calls them."""
    file = folder / graph["file"]
    if file.suffix == ".pt2":
        module: _Run = torch.export.load(file).module()
        return module
    # only where there is such a file
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options)
    names = [output.name for output in session.get_outputs()]
    _demand(
        [one.name for one in session.get_inputs()] == [graph["input"]]
        and names == graph["outputs"],
        f"{graph['file']} takes and gives other names than {graph['input']}, {graph['outputs']}",
    )

    def run(images: Tensor) -> dict[str, Tensor]:
        given = session.run(None, {graph["input"]: images.numpy()})
        return dict(zip(names, map(torch.from_numpy, given), strict=True))

    return run


def _same_outputs(
    run: _Run,
    prepare: Callable[[Tensor], Tensor],
    asked: dict[str, Tensor],
    tasks: list[dict[str, Any]],
    *,
    said: str,
    tolerance: float,
    on_average: bool = False,
    only_size: list[int] | None = None,
) -> dict[str, Any]:
    """Batch by batch and task by task, beside what the searched network gave.

    The tolerance is of the largest difference, or else of their root mean square.
    """
    largest, average, shapes, names = 0.0, 0.0, [], [task["name"] for task in tasks]
    for number in range(sum(name.startswith("images_") for name in asked)):
        images = asked[f"images_{number}"]
        batch, _, height, width = images.shape
        if only_size is not None and [height, width] != only_size:
            continue
        shapes.append([batch, height, width])
        with torch.no_grad():
            given = run(prepare(images))
        _demand(list(given) == names, f"{said} predicts {list(given)}, not {names}")
        for position, task in enumerate(names):
            here = f"task {task!r}, {batch} images"
            expected = asked[f"prediction_{number}_{position}"]
            shape = asked[f"shape_{number}_{position}"].tolist()
            _demand(
                list(given[task].shape) == shape,
                f"{said}, {here}: shape {list(given[task].shape)}, not {shape}",
            )
            _demand(
                bool(given[task].isfinite().all()), f"{said}, {here}: predicts no finite numbers"
            )
            step = int(asked[f"step_{number}_{position}"])
            tiny = torch.finfo(expected.dtype).tiny
            away, scale = given[task].flatten()[::step] - expected, expected.abs().max()
            off = float(away.abs().max() / scale.clamp(min=tiny))
            rms = float(_rms(away) / _rms(expected).clamp(min=tiny))
            _demand(
                (rms if on_average else off) <= tolerance,
                f"{said}, {here}: the outputs differ from the searched network's by {off:.2g} of "
                f"the largest one and {rms:.2g} of their root mean square, more than {tolerance:g}",
            )
            largest, average = max(largest, off), max(average, rms)
    return {
        "batch_sizes": sorted({batch for batch, _, _ in shapes}),
        "sizes": sorted({(height, width) for _, height, width in shapes}),
        "largest_relative_difference": largest,
        "relative_rms": average,
        "tolerance": tolerance,
    }


def _rms(values: Tensor) -> Tensor:
    return values.double().square().mean().sqrt()


def _latency(network: nn.Module, promised: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Of the whole network, and of all tasks' paths through it as networks of their own."""
    alone = [_Alone(network, task).eval() for task in promised["tasks"]]

    def apart(images: Tensor) -> None:
        for one in alone:
            one(images)

    return _latencies([network, apart], promised["size"])


class _Alone(nn.Module):
    """What one task takes of a network, with weights of its own: as big as a network for it alone.

    Args:
        network: The whole one.
        task: Names the branches on its path, and its head.
    """

    def __init__(self, network: nn.Module, task: dict[str, Any]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(deepcopy(getattr(network, name)) for name in task["path"])
        self.head = deepcopy(getattr(network, task["head"]["module"]))
        self.reads_path = task["head"]["reads"] == "path"

    def forward(self, images: Tensor) -> Tensor:
        features = [images]
        for stage in self.stages:
            features.append(stage(features[-1]))
        read = features[1:] if self.reads_path else features[-1]
        predicted: Tensor = self.head(read, images.shape[-2:])
        return predicted


def _latencies(
    runs: Sequence[Callable[[Tensor], object]], size: list[int]
) -> dict[str, dict[str, float]]:
    """Seconds of a batch, by its size: the fastest of several, taken in turn.

    The first run is the network; the second, if there is one, all single-task networks.
    """
    found: dict[str, dict[str, float]] = {}
    slowest = 0.0
    for batch in _LATENCY_BATCHES:
        if slowest * batch > _LATENCY_MOST:
            break
        images = torch.zeros(batch, 3, *size)
        fastest = [math.inf] * len(runs)
        with torch.no_grad():
            for run in runs:
                run(images)  # the first one also allocates
            ends, rounds = time.perf_counter() + _LATENCY_SECONDS, 0
            while rounds < 3 or time.perf_counter() < ends:
                rounds += 1
                for number, run in enumerate(runs):
                    began = time.perf_counter()
                    run(images)
                    fastest[number] = min(fastest[number], time.perf_counter() - began)
        slowest = sum(fastest) * 4
        found[str(batch)] = {"seconds": fastest[0]}
        if len(runs) > 1:
            found[str(batch)] |= {
                "single_task_seconds": fastest[1],
                "ratio": fastest[0] / fastest[1],
            }
    return found


def _same_cost(network: nn.Module, size: list[int], promised: dict[str, int]) -> dict[str, int]:
    """Parameters, and multiply-adds of one image: half of what torch counts as operations."""
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}
    with FlopCounterMode(display=False, custom_mapping=attention) as counter, torch.no_grad():
        network(torch.zeros(1, 3, *size))
    counted = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "multiply_adds": counter.get_total_flops() // 2,
    }
    for name, number in counted.items():
        _demand(number == promised[name], f"{number} {name}, but {promised[name]} were promised")
    return counted


def _attention(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
) -> int:
    """Two matrix products; the kernel for CPUs is the one that torch's counter leaves out."""
    operations: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return operations


def _learns(model: ModuleType, network: nn.Module, images: Tensor) -> dict[str, float]:
    """One step of gradient descent on random targets lowers the loss about as it should."""
    network.train()
    prepared = model.prepare(images)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    targets: dict[str, Tensor] = {}

    def loss() -> Tensor:
        torch.manual_seed(0)  # the same dropout before and after the step
        predicted = network(prepared)
        for task in sorted(predicted.keys() - targets.keys()):
            noise = torch.Generator().manual_seed(len(targets))
            shape = predicted[task].shape
            targets[task] = predicted[task].detach() + torch.randn(shape, generator=noise)
        errors = [(predicted[task] - targets[task]).double() for task in sorted(predicted)]
        return torch.stack([(error**2).mean() for error in errors]).sum()

    first = loss()
    torch.autograd.backward(first)
    before = first.item()
    slopes = {weight: weight.grad for weight in network.parameters() if weight.grad is not None}
    steepness = sum(float(slope.double().square().sum()) for slope in slopes.values())
    for part in _STEPS if steepness else ():
        network.load_state_dict(weights)
        rate = part * before / steepness
        with torch.no_grad():
            for weight, slope in slopes.items():
                weight.sub_(rate * slope)
            after = loss().item()
        if after < (1 - _TAKEN * part) * before:
            return {"learning_rate": rate, "loss_before": before, "loss_after": after}
    raise SystemExit("no step along the gradients lowers the loss as they say")


def _trains(folder: Path, model: ModuleType, promised: dict[str, Any]) -> dict[str, Any]:
    """One pass of ``train.py`` over two random batches: all weights move, and losses are finite."""
    training = _imported("train", folder / "train.py")
    network = model.load()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    noise = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(2):
        images = torch.randint(256, (4, 3, *promised["size"]), generator=noise, dtype=torch.uint8)
        with torch.no_grad():
            shapes = {task: one.shape for task, one in network(model.prepare(images)).items()}
        targets = {
            task["name"]: _target(task, shapes[task["name"]], noise) for task in promised["tasks"]
        }
        batches.append((images, targets))
    (losses,) = training.train(network, batches, epochs=1)
    still = [name for name, weight in network.named_parameters() if before[name].equal(weight)]
    # a weight whose gradient is 0 for every image, as behind a dead unit, may stay
    untouched = {name.partition(".")[0] for name in before} - {
        name.partition(".")[0] for name in before.keys() - set(still)
    }
    _demand(not untouched, f"train.py does not train {sorted(untouched)}")
    return {"losses": losses}


def _target(task: dict[str, Any], shape: torch.Size, noise: torch.Generator) -> Tensor:
    """A random target of the task's kind."""
    batch, outputs, *pixels = shape
    match task["kind"]:
        case "classification":
            return torch.randint(outputs, (batch,), generator=noise)
        case "segmentation":
            return torch.randint(outputs, (batch, *pixels), generator=noise, dtype=torch.uint8)
        case "attributes":
            return torch.randint(2, shape, generator=noise).float()
        case "edges" | "saliency":
            return torch.randint(2, shape, generator=noise, dtype=torch.uint8)
        case "normals":
            return nn.functional.normalize(torch.randn(shape, generator=noise))
    return torch.rand(shape, generator=noise)


def _demand(kept: bool, otherwise: str) -> None:
    if not kept:
        raise SystemExit(otherwise)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
