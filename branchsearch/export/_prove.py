"""Run in a fresh process, by path: does an exported folder keep what was promised?

``python -I _prove.py FOLDER QUESTION.safetensors PROMISE.json ANSWER.json``

This file imports nothing of branchsearch and sees to it that the folder does not either. Where a
promise is broken it ends with a sentence on standard error and a code that is not 0.
"""

import importlib.util
import json
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

#: Of the largest value of a prediction: what rounding may change.
TOLERANCE = 1e-5

#: Declares what timm needs of torchvision; a file of branchsearch that imports nothing of it.
_OPERATORS = Path(__file__).parents[1] / "backbones" / "operators.py"

#: One of these steps along the gradients must lower the loss.
_LEARNING_RATES = tuple(10.0**-power for power in range(1, 7))


class _Refuses:
    """An import hook for which branchsearch does not exist."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name.partition(".")[0] == "branchsearch":
            raise ImportError(f"an exported network must do without {name}")


def main(folder: Path, question: Path, promise: Path, answer: Path) -> None:
    """Check one promise after the other, and write down what was measured."""
    promised = json.loads(promise.read_text())
    torch.set_num_threads(promised["threads"])
    asked = safetensors.torch.load_file(question)
    sys.meta_path.insert(0, _Refuses)
    model = _model(folder / "model.py")
    network = model.load()
    measured = {
        "outputs": _same_outputs(model, network, asked, promised["tasks"]),
        "cost": _same_cost(network, promised["size"], promised["cost"]),
        "training": _learns(model, network, asked["images_5"]),
        "environment": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "machine": platform.machine(),
            "threads": promised["threads"],
        },
    }
    if "timm" in sys.modules:
        measured["environment"]["timm"] = sys.modules["timm"].__version__
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
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _same_outputs(
    model: ModuleType, network: nn.Module, asked: dict[str, Tensor], tasks: list[str]
) -> dict[str, Any]:
    """Batch by batch and task by task, beside what the searched network gave."""
    worst = 0.0
    batches = [int(name.removeprefix("images_")) for name in asked if name.startswith("images_")]
    for batch in sorted(batches):
        with torch.no_grad():
            given = network(model.prepare(asked[f"images_{batch}"]))
        _demand(list(given) == tasks, f"model.py predicts {list(given)}, not {tasks}")
        for number, task in enumerate(tasks):
            expected = asked[f"prediction_{batch}_{number}"]
            _demand(
                given[task].shape == expected.shape,
                f"task {task!r}: shape {list(given[task].shape)}, not {list(expected.shape)}",
            )
            _demand(
                bool(given[task].isfinite().all()), f"task {task!r}: predicts no finite numbers"
            )
            scale = expected.abs().max().clamp(min=torch.finfo(expected.dtype).tiny)
            difference = float((given[task] - expected).abs().max() / scale)
            _demand(
                difference <= TOLERANCE,
                f"task {task!r}, {batch} images: the outputs differ from the searched network's by "
                f"{difference:.2g} of the largest one, more than {TOLERANCE:g}",
            )
            worst = max(worst, difference)
    return {
        "batch_sizes": sorted(batches),
        "largest_relative_difference": worst,
        "tolerance": TOLERANCE,
    }


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
    """One step of gradient descent on random targets lowers the loss."""
    network.train()
    prepared = model.prepare(images)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    targets: dict[str, Tensor] = {}

    def loss() -> Tensor:
        torch.manual_seed(0)  # the same dropout before and after the step
        predicted = network(prepared)
        for task in predicted.keys() - targets.keys():
            noise = torch.Generator().manual_seed(len(targets))
            shape = predicted[task].shape
            targets[task] = predicted[task].detach() + torch.randn(shape, generator=noise)
        errors = [(predicted[task] - targets[task]).double() for task in sorted(predicted)]
        return torch.stack([(error**2).mean() for error in errors]).sum()

    for rate in _LEARNING_RATES:
        network.load_state_dict(weights)
        optimizer = torch.optim.SGD(network.parameters(), lr=rate)
        optimizer.zero_grad()
        before = loss()
        torch.autograd.backward(before)
        optimizer.step()
        with torch.no_grad():
            after = loss()
        if after < before:
            return {
                "learning_rate": rate,
                "loss_before": float(before),
                "loss_after": float(after),
            }
    raise SystemExit(f"no step of {_LEARNING_RATES} along the gradients lowers the loss")


def _demand(kept: bool, otherwise: str) -> None:
    if not kept:
        raise SystemExit(otherwise)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
