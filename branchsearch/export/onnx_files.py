"""A network as ``model.onnx``, by torch's exporter that builds on torch.export; and quantised.

Needs the extra ``onnx``.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

#: What the extra brings, as it is imported.
_NEEDED = ("onnx", "onnxscript", "onnxruntime")

#: Where each dimension of images stands, by what it is called.
_AXES = {"batch": 0, "height": 2, "width": 3}


class NeedsOnnx(ImportError):
    """A format is asked for that the extra ``onnx`` makes, and it is not installed."""


def check_onnx() -> None:
    """See that the extra is there.

    Raises:
        NeedsOnnx: Saying how to install it.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise NeedsOnnx(
            f"{', '.join(missing)} not installed; pip install 'branchsearch[onnx]' brings it"
        )


def input_name(tasks: Sequence[str]) -> str:
    """What the images are called: a graph's input and outputs need different names."""
    name = "images"
    while name in tasks:
        name = f"input_{name}"
    return name


def write_onnx(
    graph: ExportedProgram,
    to: Path,
    *,
    tasks: Sequence[str],
    dynamic: Sequence[str],
    notes: Mapping[str, str],
) -> int:
    """Write a graph, its input named by ``input_name`` and its outputs by their tasks.

    Args:
        graph: Gives a tensor per task, in their order.
        to: The file.
        tasks: Whatever they are called.
        dynamic: Which of ``batch``, ``height`` and ``width`` are open.
        notes: What the file says of itself, by name.

    Returns:
        The version of the operators that it uses (opset).
    """
    onnx: Any = import_module("onnx")
    given = input_name(tasks)
    # under other names first: a task may be called what some inner value is called
    plain = [f"prediction_{number}" for number in range(len(tasks))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of what it uses itself
        program = torch.onnx.export(
            graph, dynamo=True, input_names=["images"], output_names=plain, verbose=False
        )
    assert program is not None  # with dynamo it gives one
    model: Any = program.model_proto
    _name_dimensions(model.graph, dynamic)
    _rename(model.graph, {"images": given, **dict(zip(plain, tasks, strict=True))})
    for name, note in notes.items():
        model.metadata_props.add(key=name, value=note)
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(to))
    return int(next(one.version for one in model.opset_import if not one.domain))


def _name_dimensions(graph: Any, dynamic: Sequence[str]) -> None:  # noqa: ANN401  # a protobuf
    """Call open dimensions what they are, where torch numbers them."""
    dimensions = graph.input[0].type.tensor_type.shape.dim
    names = {dimensions[_AXES[name]].dim_param: name for name in dynamic}
    for value in [*graph.input, *graph.output, *graph.value_info]:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_param = re.sub(
                    r"\w+", lambda word: names.get(word[0], word[0]), dimension.dim_param
                )


def _rename(graph: Any, names: Mapping[str, str]) -> None:  # noqa: ANN401  # a protobuf
    """Give input and outputs their names, and values in the way another one."""
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken |= {one.name for one in graph.initializer}
    others = (taken - names.keys()) & set(names.values())
    moved = {name: _free(f"{name}_inner", taken | set(names.values())) for name in others}
    every = {**moved, **names}
    for node in graph.node:
        node.input[:] = [every.get(name, name) for name in node.input]
        node.output[:] = [every.get(name, name) for name in node.output]
    for value in [*graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        value.name = every.get(value.name, value.name)


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def write_int8(source: Path, to: Path, *, images: Sequence[Tensor], work: Path) -> None:
    """Quantise a float32 file of ``write_onnx`` to 8-bit integers, weights and activations.

    Args:
        source: The float32 file.
        to: The quantised one.
        images: Batches as the network takes them, of what it will see: ranges are read off them.
        work: An empty folder.
    """
    quantization: Any = import_module("onnxruntime.quantization")
    shapes: Any = import_module("onnxruntime.quantization.shape_inference")
    onnx: Any = import_module("onnx")
    name = onnx.load(str(source)).graph.input[0].name

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            self.left = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.left, None)
            return None if batch is None else {name: batch.numpy()}

    prepared = work / "prepared.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(to),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
        )


class Session(nn.Module):
    """A file of ``write_onnx`` or ``write_int8`` as a module, to be judged like any network.

    Args:
        file: The file.
        tasks: In the order of its outputs.
    """

    def __init__(self, file: Path, tasks: Sequence[str]) -> None:
        super().__init__()
        runtime: Any = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = runtime.InferenceSession(str(file), options)
        self._tasks = tuple(tasks)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """From [batch, 3, H, W] to a tensor per task."""
        (given,) = self._session.get_inputs()
        outputs = self._session.run(None, {given.name: images.cpu().contiguous().numpy()})
        return dict(zip(self._tasks, map(torch.from_numpy, outputs), strict=True))
