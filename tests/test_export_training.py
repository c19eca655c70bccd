"""The exported train.py beside the search's own training."""

import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from ruff import find_ruff_bin
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from branchsearch import catalog
from branchsearch.datasets.augmentation import Augmentation
from branchsearch.datasets.dataset import Label, Part
from branchsearch.datasets.loading import load
from branchsearch.export.learning import UNKNOWN, Learning
from branchsearch.export.parts import exported_state
from branchsearch.export.plain import losses as plain_losses
from branchsearch.export.promise import Promise
from branchsearch.export.source import model_source
from branchsearch.export.training_source import PLAIN, TARGETS, training_source
from branchsearch.model.branched import BranchedNetwork
from branchsearch.task import KINDS, METRICS, Task
from branchsearch.train import losses as house_losses
from branchsearch.train.fit import fit
from branchsearch.train.recipe import Recipe
from branchsearch.tree import Tree
from tests.networks import small
from tests.tasks import MANY, target_of, task_of, without
from tests.test_export_source import HOUSE_RULES, MEAN, STD, imported, mypy

TREE = Tree.parse("depth+edges+seg > depth+seg,edges > depth,edges,seg")
TASKS = (
    Task("depth", "depth", "rmse", METRICS["rmse"], weight=2.0),
    Task("edges", "edges", "average_precision", METRICS["average_precision"]),
    Task("seg", "segmentation", "mean_iou", METRICS["mean_iou"], classes=MANY),
)
RECIPE = Recipe(
    epochs=3,
    batch_size=6,
    learning_rate=0.02,
    weight_decay=0.02,
    warm_up=0.2,
    averaging=0.9,
    optimizer="sgd",  # adamw makes steps of rounding where a gradient is next to nothing
)
SIZE = (16, 16)
VARIED = {
    "adamw": {"optimizer": "adamw", "learning_rate": 1e-3},
    "poly": {"momentum": 0.5, "schedule": "poly", "power": 0.7},
    "last": {"averaging": 0.0, "schedule": "constant", "shared_gradient": "sum", "clip": 0.5},
    "solved": {"floors": {"seg": 9.0, "edges": 0.01}},
    "half": {"precision": "bfloat16"},
}


def network() -> BranchedNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return small(TREE, [task.outputs for task in TASKS])


def promise_of(trained: BranchedNetwork) -> Promise:
    return Promise.of(trained, tasks=TASKS, size=SIZE, mean=MEAN, std=STD)


def part() -> Part:
    """Twelve images; a batch without any label of a task."""
    images = np.random.default_rng(0).integers(0, 256, (12, 3, *SIZE)).astype(np.uint8)
    targets = {task.name: target_of(task.kind) for task in TASKS}
    targets["seg"] = without("segmentation", targets["seg"], slice(2, 8))
    return Part(images, {name: target.numpy() for name, target in targets.items()})


def trained_here(learning: Learning) -> tuple[BranchedNetwork, list[Mapping[str, float]], Any]:
    """By the search's own loop; and the batches that it took."""
    ours, data, taken = network(), part(), []
    mean, std = (torch.tensor(colour).view(3, 1, 1) for colour in (MEAN, STD))
    labels = {task.name: Label(task.kind, classes=task.classes) for task in TASKS}

    def loaded(of: Part, positions: Any, epoch: int | None) -> Any:  # noqa: ANN401
        if epoch is not None:
            taken.append([np.asarray(batch) for batch in positions])
        return load(
            of,
            positions,
            labels=labels,
            prepare=lambda images: (images.float() / 255 - mean) / std,
            device=torch.device("cpu"),
        )

    weights = {task.name: task.weight for task in TASKS}
    epochs = fit(
        ours,
        tasks=TASKS,
        train=data,
        validation=data,
        load=loaded,
        losses={t.name: catalog.find("loss", KINDS[t.kind].loss) for t in TASKS},
        metrics={t.name: partial(catalog.find("metric", t.metric), t) for t in TASKS},
        balancing=catalog.find("balancing", learning.balancing)(weights, **learning.arguments),
        recipe=learning.recipe,
        seed=0,
        device=torch.device("cpu"),
    )
    means = [epoch.losses for epoch in epochs]
    return ours, means, taken


class Replayed:
    """The batches of an earlier training, epoch by epoch."""

    def __init__(self, taken: list[list[np.ndarray]]) -> None:
        self.left, self.data = list(taken), part()

    def __len__(self) -> int:
        return len(self.left[0])

    def __iter__(self) -> Any:  # noqa: ANN401
        for chosen in self.left.pop(0) if len(self.left) > 1 else self.left[0]:
            targets = {name: torch.from_numpy(of[chosen]) for name, of in self.data.targets.items()}
            yield torch.from_numpy(self.data.images[chosen]), targets


def exported(learning: Learning, folder: Path) -> tuple[ModuleType, ModuleType]:
    """model.py and train.py, imported as their user does."""
    ours = network()
    promise = promise_of(ours)
    (folder / "train.py").write_text(training_source(promise, learning), encoding="utf-8")
    (folder / "model.py").write_text(model_source(ours, promise), encoding="utf-8")
    model = imported(folder)
    sys.modules["model"] = model
    try:
        return model, imported(folder, "train")
    finally:
        del sys.modules["model"]


def same(learning: Learning, folder: Path, *, tolerance: float = 1e-4) -> None:
    expected, means, taken = trained_here(learning)
    model, training = exported(learning, folder)
    theirs = model.BranchedNet()
    theirs.load_state_dict(exported_state(network()))
    given = list(training.train(theirs, Replayed(taken)))
    assert not theirs.training
    for ours, other in zip(means, given, strict=True):
        assert other == pytest.approx(ours, rel=tolerance, abs=1e-6)
    weights = theirs.state_dict()
    for name, value in exported_state(expected).items():
        torch.testing.assert_close(weights[name], value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_an_exported_training_takes_the_steps_of_the_search(name: str, tmp_path: Path):
    arguments = {"dwa": {"temperature": 3.0}, "gradnorm": {"alpha": 1.0}, "stch": {"mu": 0.5}}
    same(Learning(RECIPE, name, arguments.get(name, {})), tmp_path)


@pytest.mark.parametrize("changes", VARIED)
def test_an_exported_training_keeps_to_the_recipe(changes: str, tmp_path: Path):
    learning = Learning(replace(RECIPE, **VARIED[changes]), "equal_start")
    same(learning, tmp_path, tolerance=2e-2 if changes == "half" else 1e-4)


def test_every_balancing_of_the_catalog_is_written():
    assert sorted(PLAIN) == catalog.names("balancing")
    assert TARGETS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", ["nothing", "some", "all"])
def test_plain_losses_are_the_losses_of_the_search(kind: str, missing: str):
    name = KINDS[kind].loss
    target = target_of(kind)
    where = {"nothing": slice(0), "some": slice(5), "all": slice(None)}[missing]
    target = without(kind, target, where)
    outputs = task_of(kind).outputs
    shape = (len(target), outputs, *target.shape[-2:]) if KINDS[kind].is_map else (12, outputs)
    results = []
    for loss in (getattr(plain_losses, name), getattr(house_losses, name)):
        predicted = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        predicted.requires_grad_()
        given = loss(predicted, target.float() if target.is_floating_point() else target)
        torch.autograd.backward(given)
        results.append((given.detach(), predicted.grad))
    (ours, our_gradient), (theirs, their_gradient) = results
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(our_gradient, their_gradient)
    if missing == "all":
        assert float(ours) == 0


LEARNINGS = [
    UNKNOWN,
    *(Learning(RECIPE, name) for name in ("gradnorm", "pcgrad", "rlw", "stch")),
    *(Learning(replace(RECIPE, **changes)) for changes in VARIED.values()),
    Learning(replace(RECIPE, augmentation=Augmentation(flip=0.5), precision="float16"), "theirs"),
]
LONG = Tree.from_labels(
    [f"attribute-with-a-name-{number}" for number in range(40)],
    [[number // 20 for number in range(40)], list(range(40))],
)
ODD = Tree.parse("40+b.c+class+é+images+mean > 40,b.c+class+é+images+mean")


def promised(tree: Tree) -> Promise:
    """Tasks of every kind."""
    kinds = sorted(KINDS)
    tasks = [task_of(kinds[n % len(kinds)], name=name) for n, name in enumerate(tree.tasks)]
    ours = small(tree, [task.outputs for task in tasks])
    return Promise.of(ours, tasks=tasks, size=SIZE, mean=MEAN, std=STD)


@pytest.mark.parametrize("tree", [LONG, ODD], ids=["long", "odd"])
def test_the_file_keeps_the_rules_of_this_house(tree: Tree, tmp_path: Path):
    promise = promised(tree)
    for number, learning in enumerate(LEARNINGS):
        floors = dict.fromkeys(tree.tasks[::2], 0.5) if learning.recipe.floors else {}
        fitting = replace(learning, recipe=replace(learning.recipe, floors=floors))
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "train.py").write_text(training_source(promise, fitting), encoding="utf-8")
        (folder / "model.py").write_text('"""The network."""\n')
        _keeps_the_rules(folder)


def _keeps_the_rules(folder: Path) -> None:
    for arguments in (
        ["format", "--check"],
        ["check", f"--select={HOUSE_RULES}", "--ignore=D105,D107,ANN401"],
    ):
        command = [find_ruff_bin(), *arguments, "--isolated", "--no-cache", "--line-length=100"]
        ran = subprocess.run([*command, "."], cwd=folder, capture_output=True, encoding="utf-8")
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_files_pass_mypy_together(tmp_path: Path):
    for number, learning in enumerate(LEARNINGS[:2]):
        folder = tmp_path / str(number)
        folder.mkdir()
        exported(learning, folder)
        mypy(folder)


def test_losses_that_are_not_finite_end_the_training(tmp_path: Path):
    model, training = exported(UNKNOWN, tmp_path)
    theirs = model.BranchedNet()
    images = torch.zeros(2, 3, *SIZE, dtype=torch.uint8)
    targets: dict[str, Tensor] = {task.name: target_of(task.kind, images=2) for task in TASKS}
    with torch.no_grad():
        theirs.head_depth.predict.bias.fill_(torch.inf)
    with pytest.raises(ArithmeticError, match="step 0"):
        list(training.train(theirs, [(images, targets)]))


class Images(Dataset[tuple[Tensor, dict[str, Tensor]]]):
    """One image after the other, as users' data sets have them."""

    def __len__(self) -> int:
        return len(part())

    def __getitem__(self, number: int) -> tuple[Tensor, dict[str, Tensor]]:
        data = part()
        targets = {name: torch.tensor(of[number]) for name, of in data.targets.items()}
        return torch.tensor(data.images[number]), targets


def test_targets_of_another_shape_are_refused(tmp_path: Path):
    model, train = exported(Learning(RECIPE), tmp_path)
    images = torch.zeros(2, 3, *SIZE, dtype=torch.uint8)
    targets = {task.name: target_of(task.kind)[:2] for task in TASKS}
    targets["depth"] = targets["depth"].squeeze(1)
    with pytest.raises(ValueError, match=r"predicted \(2, 1, 16, 16\), but got \(2, 16, 16\)"):
        list(train.train(model.BranchedNet(), [(images, targets)]))


def test_a_data_loader_is_trained_on(tmp_path: Path):
    model, training = exported(Learning(RECIPE), tmp_path)
    loader = DataLoader(Images(), batch_size=4, shuffle=True)
    epochs = list(training.train(model.BranchedNet(), loader, epochs=6))
    assert len(epochs) == 6
    assert sum(epochs[-1].values()) < sum(epochs[0].values())


def test_a_training_can_be_repeated(tmp_path: Path):
    model, training = exported(UNKNOWN, tmp_path)
    images = torch.zeros(2, 3, *SIZE, dtype=torch.uint8)
    targets: dict[str, Tensor] = {task.name: target_of(task.kind, images=2) for task in TASKS}
    first = model.BranchedNet()
    second = deepcopy(first)
    one, other = (list(training.train(n, [(images, targets)], epochs=2)) for n in (first, second))
    assert one == other
    assert len(one) == 2
