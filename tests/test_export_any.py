"""Whatever can be exported: any tree over any backbone, with any heads and kinds of tasks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchsearch import catalog
from branchsearch.backbones import residual
from branchsearch.backbones.backbone import Backbone
from branchsearch.export.folder import export
from branchsearch.export.parts import exported_state
from branchsearch.export.promise import Promise
from branchsearch.export.source import model_source
from branchsearch.jobs.training import build_heads
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import gives_map, reads_path
from branchsearch.space.encoding import decode
from branchsearch.task import KINDS, Head, Task
from branchsearch.tree import Tree
from tests.backbones import FX, Example
from tests.generators import NAMES
from tests.tasks import task_of
from tests.test_export_source import HOUSE_RULES, MEAN, STD, imported, ruff

#: A multiple of every backbone's strides.
SIZE = (32, 64)
SMALL = {"aspp": {"width": 3, "rates": [1, 2]}, "fpn": {"width": 3}}


def narrow(name: str) -> Backbone:
    """A ResNet of the catalog with a few channels behind its first stage: copies cost little."""
    with patch.object(residual, "_WIDTHS", (64, 4, 6, 8)):
        return Example(name).build()


def of_timm(model: str, **arguments: object) -> Backbone:
    return Example(f"timm:{model}", {"arguments": arguments}).build()


#: By name, from a number of stages to a backbone; most have their own.
BACKBONES: Mapping[str, Callable[[int], Backbone]] = {
    "resnet": lambda stages: Example("resnet", {"channels": [4, 5, 6, 7][:stages]}).build(),
    "vgg": lambda stages: Example(
        "vgg", {"channels": [4, 5, 6, 7][:stages], "convolutions": [1, 2, 1, 1][:stages]}
    ).build(),
    **{name: lambda _, name=name: narrow(name) for name in ("resnet10", "resnet18", "resnet34")},
    "resnet50": lambda _: narrow("resnet50"),
    "fx:": lambda _: FX[0].build(),
    "timm:resnet18": lambda _: of_timm("resnet18", channels=[4, 6, 8, 8]),
    "timm:convnext_atto": lambda _: of_timm(
        "convnext_atto", depths=[1, 1, 1, 1], dims=[4, 6, 8, 8]
    ),
    "timm:vit_tiny_patch16_224": lambda _: of_timm(
        "vit_tiny_patch16_224", img_size=[32, 64], embed_dim=12, depth=4, num_heads=3
    ),
}


#: How many there are at most, and which give tokens between them: drawing builds nothing.
STAGES, OF_TOKENS = {"fx:": 3}, ("timm:vit_tiny_patch16_224",)
CHOOSE_STAGES = ("resnet", "vgg")


@dataclass(frozen=True)
class Exportable:
    """A network to be exported, and its tasks."""

    backbone: str
    tree: Tree
    tasks: tuple[Task, ...]

    def build(self) -> BranchedNetwork:
        """No two copies of a stage alike, as after training."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            backbone = BACKBONES[self.backbone](len(self.tree.branches))
            heads = build_heads(backbone, self.tasks)
            network = BranchedNetwork(self.tree, backbone.modules, heads)
            for tensor in network.state_dict().values():
                if tensor.is_floating_point():
                    tensor += 0.2 * torch.rand(tensor.shape)
        return network.eval()


@st.composite
def exportables(draw: st.DrawFn) -> Exportable:
    """Up to six tasks over up to four stages."""
    name, most = draw(st.sampled_from([(name, STAGES.get(name, 4)) for name in BACKBONES]))
    stages = draw(st.integers(1, most)) if name in CHOOSE_STAGES else most
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    mates = [draw(st.integers(0, task - 1)) for task in range(1, len(names))]
    tree = decode(names, stages, mates, [draw(st.integers(0, stages)) for _ in mates])
    kinds = [draw(st.sampled_from(list(KINDS))) for _ in names]
    tasks = tuple(
        task_of(kind, name=task, head=draw(st.sampled_from(heads_of(kind, name))))
        for task, kind in zip(tree.tasks, kinds, strict=True)
    )
    return Exportable(name, tree, tasks)


def heads_of(kind: str, backbone: str) -> list[Head]:
    """Those that predict what a kind is of, and can read the backbone."""
    found = {name: catalog.find("head", name) for name in catalog.names("head")}
    return [
        Head(name, SMALL.get(name, {}))
        for name, head in found.items()
        if gives_map(head) == KINDS[kind].is_map
        and not (reads_path(head) and backbone in OF_TOKENS)
    ]


def test_every_built_in_backbone_is_among_them_and_three_of_timm():
    built_in = {name for name in catalog.names("backbone") if name != "timm:"}
    assert built_in == {name for name in BACKBONES if not name.startswith("timm:")}
    assert len(BACKBONES) == len(built_in) + 3


@settings(max_examples=15, deadline=None)
@given(exportables())
def test_source_predicts_what_the_searched_network_does_and_is_well_formed(given: Exportable):
    network = given.build()
    promise = Promise.of(network, tasks=given.tasks, size=SIZE, mean=MEAN, std=STD)
    source = model_source(network, promise)
    ruff(source, "format", "--check")
    ruff(source, "check", f"--select={HOUSE_RULES}", "--ignore=D105,D107")
    with TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        (folder / "model.py").write_text(source, encoding="utf-8")
        safetensors.torch.save_file(exported_state(network), folder / "weights.safetensors")
        theirs, images = imported(folder).load(), torch.rand(2, 3, *SIZE)
        expected, found = network(images), theirs(images)
    assert list(found) == list(expected)
    for task, prediction in expected.items():
        torch.testing.assert_close(found[task], prediction, rtol=0, atol=0)


@settings(max_examples=5, deadline=None)
@given(exportables())
def test_whatever_is_exported_is_proven(given: Exportable):
    with TemporaryDirectory() as place:
        to = export(
            Path(place) / "net",
            network=given.build(),
            tasks=given.tasks,
            size=SIZE,
            mean=MEAN,
            std=STD,
            facts={},
        )
        assert (to / "tree.txt").read_text() == f"{given.tree}\n"
