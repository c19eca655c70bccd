"""The formats that an exported network comes in beside its source."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torch.export import ExportedProgram

from branchsearch.export.graphs import Half, fused, trace
from branchsearch.export.onnx_files import (
    Session,
    check_onnx,
    input_name,
    write_int8,
    write_onnx,
)
from branchsearch.export.promise import Promise
from branchsearch.model.branched import BranchedNetwork

#: By format, the file. ``torch``, the source with its weights, is always there.
GRAPHS = {
    "pt2": "model.pt2",
    "onnx": "model.onnx",
    "pt2_half": "model.half.pt2",
    "onnx_half": "model.half.onnx",
    "onnx_int8": "model.int8.onnx",
}

#: By precision, the largest difference to the searched network's outputs, of the largest of them.
#: Of 8-bit integers, which may miss single numbers by far, the root mean square of all differences,
#: of that of the outputs: a graph that predicts nothing but zeros has 1.
TOLERANCES = {"float32": 1e-5, "float16": 5e-2, "int8": 0.5}

#: The same where batch norms went into the convolutions before.
FUSED_TOLERANCE = 1e-4

_BATCH = 16


@dataclass(frozen=True, slots=True)
class Calibration:
    """What 8-bit integers need to be chosen by, and judged by.

    Attributes:
        images: Shape [N, 3, H, W], of what the network will see; not those it is judged on.
        judge: From a network to each task's metric.
    """

    images: UInt8[Tensor, "N 3 H W"]
    judge: Callable[[nn.Module], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Graph:
    """A file that holds the network as a graph.

    Attributes:
        file: Its name.
        precision: ``float32``, ``float16`` or ``int8``; images and predictions are float32.
        fused: Whether batch norms went into the convolutions before them.
        dynamic: Which of ``batch``, ``height`` and ``width`` are open.
        input: What the images are called.
        outputs: What the predictions are called, in order.
        tolerance: The difference allowed, see ``TOLERANCES``.
        opset: Of ONNX.
        metrics: Of the network before and after, by task, where precision costs some.
    """

    file: str
    precision: str
    fused: bool
    dynamic: tuple[str, ...]
    input: str
    outputs: tuple[str, ...]
    tolerance: float
    opset: int | None = None
    metrics: Mapping[str, Mapping[str, float]] | None = None

    def as_json(self) -> dict[str, Any]:
        """As ``model.json`` has it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def check_formats(names: Collection[str]) -> None:
    """See that formats are known and can be made.

    Raises:
        ValueError: One is not known.
        NeedsOnnx: One needs the extra ``onnx``.
    """
    if strangers := sorted(set(names) - GRAPHS.keys() - {"torch"}):
        raise ValueError(f"no formats {strangers}; there are {', '.join(['torch', *GRAPHS])}")
    if any(name.startswith("onnx") for name in names):
        check_onnx()


def write_graphs(
    folder: Path,
    network: BranchedNetwork,
    promise: Promise,
    *,
    formats: Collection[str],
    fuse: bool,
    calibration: Calibration | None,
    others: Sequence[tuple[int, int]],
    work: Path,
) -> list[Graph]:
    """Write a network in some formats.

    Args:
        folder: Where the files go.
        network: At rest, see ``branchsearch.export.graphs.at_rest``.
        promise: Read off it.
        formats: Names that were checked.
        fuse: Whether batch norms go into the convolutions before them.
        calibration: For 8-bit integers.
        others: Sizes of images that it takes, too.
        work: An empty folder.

    Raises:
        NotTraceable: torch.export makes no graph of it.
    """
    wanted = [name for name in GRAPHS if name in formats]
    half = [name for name in wanted if name.endswith("half")]
    made = []
    for precision, here in (
        ("float32", [name for name in wanted if name not in half]),
        ("float16", half),
    ):
        if not here:
            continue
        module = Half(network) if precision == "float16" else network
        traced, dynamic = _traced(module, promise.size, others, fuse=fuse)
        graph = Graph(
            file="",
            precision=precision,
            fused=fuse,
            dynamic=dynamic,
            input="images",
            outputs=promise.tree.tasks,
            tolerance=_tolerance(precision, fuse),
        )
        for name in here:
            file = folder / GRAPHS[name]
            if name.startswith("pt2"):
                content = BytesIO()  # torch's own writer does not say that a disk is full
                torch.export.save(traced, content)
                file.write_bytes(content.getvalue())
                made.append(replace(graph, file=file.name))
            elif name == "onnx_int8":
                assert calibration is not None  # checked before
                plain = _as_onnx(traced, work / "float32.onnx", graph, promise)
                write_int8(
                    work / plain.file,
                    file,
                    images=torch.split(prepared(calibration.images, promise), _BATCH),
                    work=work,
                )
                made.append(_judged(file, replace(plain, file=file.name), network, calibration))
            else:
                made.append(_as_onnx(traced, file, graph, promise))
    return made


def _traced(
    module: nn.Module, size: tuple[int, int], others: Sequence[tuple[int, int]], *, fuse: bool
) -> tuple[ExportedProgram, tuple[str, ...]]:
    traced, dynamic = trace(module, size, others)
    if not fuse:
        return traced, dynamic
    return trace(fused(traced), size, others if "height" in dynamic else ())


def _as_onnx(traced: ExportedProgram, file: Path, graph: Graph, promise: Promise) -> Graph:
    tasks = promise.tree.tasks
    opset = write_onnx(traced, file, tasks=tasks, dynamic=graph.dynamic, notes=_notes(promise))
    return replace(graph, file=file.name, input=input_name(tasks), opset=opset)


def _judged(file: Path, graph: Graph, network: BranchedNetwork, calibration: Calibration) -> Graph:
    """A graph of 8-bit integers, with what these cost."""
    metrics = {
        "float32": dict(calibration.judge(network)),
        "int8": dict(calibration.judge(Session(file, graph.outputs))),
    }
    tolerance = _tolerance("int8", graph.fused)
    return replace(graph, precision="int8", tolerance=tolerance, metrics=metrics)


def _tolerance(precision: str, fuse: bool) -> float:
    return FUSED_TOLERANCE if fuse and precision == "float32" else TOLERANCES[precision]


def prepared(images: UInt8[Tensor, "N 3 H W"], promise: Promise) -> Tensor:
    """What the network takes, as ``prepare`` in ``model.py`` gives it."""
    mean, std = (torch.tensor(colour).view(3, 1, 1) for colour in (promise.mean, promise.std))
    return (images.float() / 255 - mean) / std


def _notes(promise: Promise) -> dict[str, str]:
    """What an ONNX file says of itself: who has it may not have the rest of the folder."""
    return {
        "tree": str(promise.tree),
        "mean": ", ".join(map(str, promise.mean)),
        "std": ", ".join(map(str, promise.std)),
        "input": "RGB in [0, 1], minus mean, divided by std",
    }
