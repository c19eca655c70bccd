"""Graphs of a network, beside the network; one tracing and one conversion for all tests."""

from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from branchsearch.backbones.operators import declare_missing
from branchsearch.export import onnx_files
from branchsearch.export.graphs import Half, NotTraceable, at_rest, fused, other_sizes, trace
from branchsearch.export.onnx_files import (
    NeedsOnnx,
    Session,
    check_onnx,
    input_name,
    write_int8,
    write_onnx,
)
from branchsearch.model.branched import BranchedNetwork
from branchsearch.tree import Tree
from tests.backbones import Example
from tests.test_export_backbones import network_of as of_backbone
from tests.test_export_source import SIZE, network_of

#: Names that a graph gives to its own values, or that no other format takes.
ODD = Tree.from_labels(
    ["images", "class", 'b"\\', "relu", "conv2d", "val_0", "{{x}}", "é"],
    [[0] * 8, [0, 0, 1, 1, 2, 2, 2, 2]],
)
OPEN = ("batch", "height", "width")


@dataclass(frozen=True)
class Made:
    network: BranchedNetwork
    graph: ExportedProgram
    file: Path
    opset: int


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    network = at_rest(network_of(ODD))
    graph, dynamic = trace(network, SIZE, other_sizes(network, SIZE))
    assert dynamic == OPEN
    file = tmp_path_factory.mktemp("onnx") / "model.onnx"
    opset = write_onnx(graph, file, tasks=ODD.tasks, dynamic=dynamic, notes={"tree": str(ODD)})
    return Made(network, graph, file, opset)


def images(batch: int, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def difference(network: nn.Module, graph: nn.Module, given: Tensor) -> float:
    """The largest, of the largest output of its task."""
    expected, found = network(given), graph(given)
    assert list(found) == list(expected)
    return max(
        float((found[task] - one).abs().max() / one.abs().max()) for task, one in expected.items()
    )


SHAPES = [(1, SIZE), (5, SIZE), (1, (15, 21)), (2, (32, 8))]


@pytest.mark.parametrize(("batch", "size"), SHAPES)
def test_graphs_predict_what_the_network_does_for_any_batch_and_size(
    made: Made, batch: int, size: tuple[int, int]
):
    given = images(batch, size)
    assert difference(made.network, made.graph.module(), given) == 0
    assert difference(made.network, Session(made.file, ODD.tasks), given) <= 1e-5


def test_an_onnx_file_says_what_it_takes_and_gives(made: Made):
    model = onnx.load(made.file)
    assert [one.name for one in model.graph.input] == ["input_images"]
    assert [one.name for one in model.graph.output] == list(ODD.tasks)
    assert {one.key: one.value for one in model.metadata_props} == {"tree": str(ODD)}
    assert made.opset == max(one.version for one in model.opset_import)
    for value in [*model.graph.input, *model.graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        assert [dimensions[axis].dim_param for axis in (0, 2, 3)] == list(OPEN)


def test_images_and_tasks_never_have_one_name():
    assert input_name(["depth"]) == "images"
    assert input_name(["images", "input_images"]) == "input_input_images"


def test_fusing_leaves_no_batch_norm_and_the_same_outputs(made: Made):
    module = fused(made.graph)
    called = {str(node.target) for node in module.graph.nodes if node.op == "call_function"}
    assert not [name for name in called if "batch_norm" in name]
    for batch, size in SHAPES:
        assert difference(made.network, module, images(batch, size)) <= 1e-5
    assert any("batch_norm" in str(node.target) for node in made.graph.graph.nodes)


class Awkward(nn.Module):
    """A convolution read twice, one with a bias, and a norm behind none."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False)
        self.second, self.other = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4, eps=0.1)
        self.alone = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        first = self.norm(self.first(images))
        second = self.second(first)
        return {"a": self.other(second) + second, "b": self.alone(first)}


def test_only_what_can_be_fused_is():
    network = Awkward()
    for norm in (network.norm, network.other, network.alone):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    network.eval()
    module = fused(trace(network, SIZE, [])[0])
    left = [n for n in module.graph.nodes if n.target is torch.ops.aten.batch_norm.default]
    assert len(left) == 2
    assert difference(network, module, images(3)) <= 1e-5


def test_half_precision_takes_and_gives_single_precision(made: Made):
    predicted = Half(made.network)(images(2))
    assert {one.dtype for one in predicted.values()} == {torch.float32}
    assert 0 < difference(made.network, Half(made.network), images(2)) < 0.05
    assert next(made.network.parameters()).dtype == torch.float32


def test_integers_of_8_bits_predict_about_the_same(made: Made, tmp_path: Path):
    write_int8(made.file, tmp_path / "int8.onnx", images=[images(16)], work=tmp_path)
    kinds = {one.data_type for one in onnx.load(tmp_path / "int8.onnx").graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    away = difference(made.network, Session(tmp_path / "int8.onnx", ODD.tasks), images(16))
    assert 0 < away < 0.3


def test_a_network_of_one_size_leaves_its_batch_open_alone():
    declare_missing()
    example = Example(
        "timm:vit_tiny_patch16_224", {"arguments": {"img_size": [32, 64], "depth": 2}}
    )
    network = at_rest(of_backbone(example.build()))
    assert other_sizes(network, example.size) == []
    graph, dynamic = trace(network, example.size, [])
    assert dynamic == ("batch",)
    for batch in (1, 5):
        assert difference(network, graph.module(), images(batch, example.size)) == 0


class OneBatch(nn.Module):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"a": images.reshape(2, 3, *SIZE)}


def test_a_network_that_takes_one_batch_size_has_no_graph():
    with pytest.raises(NotTraceable, match="for any batch"):
        trace(OneBatch(), SIZE, [])


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onnx_files, "_NEEDED", ("onnx", "onnx_from_nowhere"))
    with pytest.raises(NeedsOnnx, match=r"^onnx_from_nowhere not .*\[onnx\]"):
        check_onnx()
