import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch

from branchsearch.export import _prove, proof
from branchsearch.export.description import describe, promised
from branchsearch.export.learning import UNKNOWN
from branchsearch.export.promise import Promise
from branchsearch.export.proof import ProofFailed, prove, question
from branchsearch.model.branched import BranchedNetwork
from branchsearch.space.cost import Cost
from branchsearch.tree import Tree
from tests.backbones import Example
from tests.test_export_backbones import network_of as of_backbone
from tests.test_export_source import FOUR_TASKS, images, network_of, promise_of, written

TREE = Tree.parse("depth+edges+seg > depth+seg,edges")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An honest model.py and its weights."""
    made = tmp_path / "folder"
    made.mkdir()
    written(network_of(TREE), made)
    return made


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Where the two processes meet."""
    made = tmp_path / "work"
    made.mkdir()
    return made


def proven(
    folder: Path, work: Path, network: BranchedNetwork | None = None, promise: Promise | None = None
) -> dict[str, Any]:
    """Proven against a network, by default the one that the folder was made of."""
    network = network or network_of(TREE)
    promise = promise or promise_of(network)
    described = describe(promise, facts={}, learning=UNKNOWN, graphs=[], others=[])
    return prove(folder, promised(described), question(network, promise), work=work)


def edit(folder: Path, old: str, new: str) -> None:
    source = (folder / "model.py").read_text(encoding="utf-8")
    assert old in source
    (folder / "model.py").write_text(source.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    "tree",
    [
        Tree.parse("a"),
        FOUR_TASKS,
        Tree.from_labels(
            ["40", "class", 'b"\\', "é", "日本", "{{x}}"], [[0] * 6, [0, 0, 1, 1, 2, 3]]
        ),
    ],
    ids=["one", "four", "odd"],
)
def test_an_honest_folder_is_proven_and_nothing_is_changed(tree: Tree, tmp_path: Path, work: Path):
    network = network_of(tree, seed=3).train()
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    promise = promise_of(network)
    folder = tmp_path / "folder"
    folder.mkdir()
    written(network, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    measured = proven(folder, work, network, promise)
    assert json.loads(json.dumps(measured)) == measured
    assert measured["outputs"]["batch_sizes"] == [1, 5]
    assert measured["outputs"]["largest_relative_difference"] <= 1e-5
    assert measured["training"]["loss_after"] < measured["training"]["loss_before"]
    assert measured["cost"]["parameters"] == promise.cost.parameters
    assert measured["cost"]["multiply_adds"] == promise.cost.multiply_adds
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert all(module.training for module in network.modules())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, weights[name])


def _flip_a_weight(folder: Path) -> None:
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    weights["head_seg.predict.bias"][0] *= -1
    safetensors.torch.save_file(weights, folder / "weights.safetensors")


def _drop_a_weight(folder: Path) -> None:
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    del weights["head_seg.predict.bias"]
    safetensors.torch.save_file(weights, folder / "weights.safetensors")


def _feed_a_head_from_elsewhere(folder: Path) -> None:
    edit(folder, "self.head_seg(stage1_depth_seg, size)", "self.head_seg(stage1_edges, size)")


def _forget_a_task(folder: Path) -> None:
    edit(folder, '"seg": self.head_seg(stage1_depth_seg, size),', "")


def _normalise_otherwise(folder: Path) -> None:
    edit(folder, "images.float() / 255", "images.float() / 256")


def _mix_the_images_of_a_batch(folder: Path) -> None:
    edit(
        folder,
        "size = images.shape[-2:]",
        "size = images.shape[-2:]\n        images = images.flip(0)",
    )


def _cut_the_gradients(folder: Path) -> None:
    edit(folder, "size)", "size).detach().requires_grad_()")


def _turn_the_gradients(folder: Path) -> None:
    edit(folder, "interpolate(logits,", "interpolate(2 * logits.detach() - logits,")


def _need_branchsearch(folder: Path) -> None:
    edit(folder, "import torch\n", "import torch\nimport branchsearch.tree\n")


def _loop(folder: Path) -> None:
    edit(folder, "import torch\n", "import torch\nwhile True:\n    pass\n")


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (_flip_a_weight, "task 'seg', 1 images: the outputs differ"),
        (_drop_a_weight, "head_seg.predict.bias"),
        (_feed_a_head_from_elsewhere, "task 'seg', 1 images: the outputs differ"),
        (_forget_a_task, r"predicts \['depth', 'edges'\]"),
        (_normalise_otherwise, "the outputs differ"),
        (_mix_the_images_of_a_batch, "5 images: the outputs differ"),
        (_cut_the_gradients, "lowers the loss"),
        (_turn_the_gradients, "lowers the loss"),
        (_need_branchsearch, "must do without branchsearch"),
    ],
)
def test_a_folder_that_was_tampered_with_is_not_proven(
    tamper: Callable[[Path], None], reason: str, folder: Path, work: Path
):
    tamper(folder)
    with pytest.raises(ProofFailed, match=reason):
        proven(folder, work)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_a_network_of_many_layers_is_seen_to_learn(name: str):
    torch.manual_seed(0)
    network = of_backbone(Example(name).build())
    model = SimpleNamespace(prepare=lambda images: images / 128 - 1)
    measured = _prove._learns(model, network, images(5))
    assert measured["loss_after"] < measured["loss_before"]


@pytest.mark.parametrize("name", ["parameters", "multiply_adds"])
def test_a_cost_that_is_not_kept_is_not_proven(name: str, folder: Path, work: Path):
    network = network_of(TREE)
    promise = promise_of(network)
    one_less = {name: getattr(promise.cost, name) - 1}
    with pytest.raises(ProofFailed, match=rf"{name}, but {one_less[name]} were promised"):
        proven(folder, work, network, replace(promise, cost=replace(promise.cost, **one_less)))


def test_a_network_that_never_answers_is_given_up(
    folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch
):
    _loop(folder)
    monkeypatch.setattr(proof, "_SECONDS", 2)
    with pytest.raises(ProofFailed, match="in 2 seconds"):
        proven(folder, work)


def test_numbers_that_are_not_finite_are_not_proven(folder: Path, work: Path):
    network = network_of(TREE)
    with torch.no_grad():
        for parameter in network.heads.parameters():
            parameter.fill_(float("nan"))
    written(network, folder)
    with pytest.raises(ProofFailed, match="no finite numbers"):
        proven(folder, work, network)


def test_promises_are_counted_without_running():
    promise = promise_of(network_of(TREE))
    assert promise.cost != promise.apart != Cost(0, 0)
    assert promise.cost.multiply_adds < promise.apart.multiply_adds
