"""Each part of a recipe does what it says, and the default one what a plain loop does."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from branchsearch import catalog
from branchsearch.datasets.dataset import Part
from branchsearch.model.branched import BranchedNetwork, BranchedStage
from branchsearch.model.heads import DenseHead
from branchsearch.train.balancing.balancing import Step
from branchsearch.train.fit import Epoch
from branchsearch.train.recipe import Recipe
from branchsearch.train.schedule import rates
from branchsearch.tree import Tree
from tests.trainings import RECIPE, epochs, judged, network, part, prepare, same_weights

ONE_STEP = replace(RECIPE, epochs=1, batch_size=64, warm_up=0.0, averaging=0.0)


def plain_loop(trained: BranchedNetwork, recipe: Recipe, train: Part, seed: int) -> BranchedNetwork:
    """The default recipe, written down without anything of ``branchsearch.train``."""
    trained.to(memory_format=torch.channels_last)
    order, steps = np.random.default_rng(seed), -(-len(train) // recipe.batch_size)
    optimizer = torch.optim.AdamW(
        trained.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    rising = round(recipe.warm_up * recipe.epochs * steps)

    def rate(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + np.cos(np.pi * (step - rising) / (recipe.epochs * steps - rising)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)

    def follow(kept: list[Tensor], now: list[Tensor], updates: Tensor) -> None:
        for one, other in zip(kept, now, strict=True):
            share = 1 - min(recipe.averaging, float(updates) / (10 + float(updates)))
            one.copy_(torch.lerp(one, other, share) if one.is_floating_point() else other)

    kept = AveragedModel(trained, multi_avg_fn=follow, use_buffers=True)
    trained.train()
    for _ in range(recipe.epochs):
        for chosen in np.array_split(order.permutation(len(train)), steps):
            images = prepare(torch.from_numpy(train.images[chosen]))
            predicted = trained(images.contiguous(memory_format=torch.channels_last))
            total = sum(
                (predicted[task] - torch.from_numpy(train.targets[task][chosen]).float())
                .abs()
                .sum()
                / predicted[task].numel()
                for task in ("a", "b")
            )
            optimizer.zero_grad()
            total.backward()
            for weight in trained.stages[0].parameters():
                weight.grad /= 2  # both tasks use it
            optimizer.step()
            schedule.step()
            kept.update_parameters(trained)
    return kept.module


@pytest.mark.parametrize("seed", [0, 5])
def test_the_default_recipe_is_a_plain_loop_to_the_last_bit(seed: int):
    train, recipe = part(60, seed=1), replace(RECIPE, weight_decay=0.01, averaging=0.9)
    ours = network()
    list(epochs(ours, recipe, seed=seed, train=train))
    assert same_weights(plain_loop(network(), recipe, train, seed), ours)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "learning_rate": 0.1},
        {"schedule": "poly"},
        {"schedule": "constant"},
        {"clip": 0.5},
        {"precision": "bfloat16"},
        {"precision": "float16"},
        {"precision": "float16", "clip": 0.5, "optimizer": "sgd", "learning_rate": 0.1},
        {"accumulate": 2},
        {"shared_gradient": "sum"},
    ],
    ids=str,
)
def test_every_choice_learns_and_gives_the_same_numbers_again(changes: dict[str, object]):
    recipe = replace(RECIPE, epochs=6, **changes)
    ours, twin = network(), network()
    before = judged(ours)
    *_, last = epochs(ours, recipe)
    list(epochs(twin, recipe))
    assert all(last.metrics[task] < before[task] / 1.4 for task in ("a", "b"))
    assert same_weights(ours, twin)
    assert {value.dtype for value in ours.parameters()} == {torch.float32}


def test_the_schedules_by_hand():
    def of(schedule: str, **others: float) -> list[float]:
        factor = rates(replace(RECIPE, schedule=schedule, warm_up=0.2, **others), steps=10)
        return [round(factor(step), 4) for step in (0, 1, 2, 6, 9)]

    assert of("constant") == [0.5, 1, 1, 1, 1]
    assert of("cosine") == [0.5, 1, 1, 0.5, 0.0381]
    assert of("poly", power=2.0) == [0.5, 1, 1, 0.25, 0.0156]


def without_norm(tree: str) -> BranchedNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        parsed = Tree.parse(tree)
        stages = [nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh())]
        stages += [
            nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh()) for _ in parsed.branches[1:]
        ]
        heads: dict[str, nn.Module] = {task: DenseHead(4, 1) for task in parsed.tasks}
        for head in heads.values():
            head.norm = nn.Identity()
        return BranchedNetwork(parsed, stages, heads)


def uneven(count: int) -> Part:
    """As ``part``, with labels missing here and there, so that parts have different numbers."""
    whole, draw = part(count, seed=1), np.random.default_rng(3)
    targets = {
        name: np.where(draw.random((count, 1, 1, 1)) < 0.4, np.nan, target).astype(np.float16)
        for name, target in whole.targets.items()
    }
    return Part(whole.images, targets)


#: These take the gradients of each part apart, which are not those of the whole.
BY_GRADIENTS = {
    "aligned_mtl",
    "config",
    "dualproj",
    "graddrop",
    "gradnorm",
    "imtl_g",
    "mgda",
    "pcgrad",
    "upgrad",
}


def sparse(count: int) -> Part:
    """As ``uneven``, but half of the images have no label of ``a`` at all."""
    whole = uneven(count)
    a = whole.targets["a"].copy()
    a[np.random.default_rng(4).random(count) < 0.5] = np.nan
    return Part(whole.images, {**whole.targets, "a": a})


def in_parts(balancing: str, parts: int, **changes: object) -> list[tuple[list[Epoch], Any]]:
    """Two trainings, without and with parts: what was told, and the network."""
    recipe = replace(
        ONE_STEP, epochs=3, optimizer="sgd", learning_rate=0.1, batch_size=16, **changes
    )
    found = []
    for accumulate in (1, parts):
        trained = without_norm("a+b > a,b")
        rule = catalog.find("balancing", balancing)({"a": 1.0, "b": 2.0})
        told = epochs(
            trained, replace(recipe, accumulate=accumulate), train=sparse(48), balancing=rule
        )
        found.append((list(told), trained))
    return found


@pytest.mark.parametrize("parts", [2, 3, 8])
@pytest.mark.parametrize("balancing", sorted({*catalog.names("balancing")} - BY_GRADIENTS))
def test_a_step_in_parts_is_the_step_of_all_its_images(balancing: str, parts: int):
    (one, whole), (other, parted) = in_parts(balancing, parts)
    for (name, ours), theirs in zip(whole.named_parameters(), parted.parameters(), strict=True):
        torch.testing.assert_close(theirs, ours, msg=lambda text, name=name: f"{name}: {text}")
    assert other[-1].losses == pytest.approx(one[-1].losses, rel=1e-5)


def test_floors_of_a_step_in_parts_are_those_of_all_its_images():
    ((first, *_), _), _ = in_parts("fixed", 2)
    (_, whole), (_, parted) = in_parts("fixed", 8, floors={"a": first.losses["a"] + 1e-3})
    for ours, theirs in zip(whole.parameters(), parted.parameters(), strict=True):
        torch.testing.assert_close(theirs, ours)


def test_looking_ahead_leaves_no_trace():
    """The parts are those of a training that does not look: batch norm and draws alike."""
    changes = replace(RECIPE, accumulate=2, epochs=2)
    fixed_, foreseen = network(), network()
    list(epochs(fixed_, changes))
    list(epochs(foreseen, changes, balancing=Foresees()))
    assert same_weights(fixed_, foreseen)


class Foresees(nn.Module):
    """As ``fixed``, but it asks for the whole step."""

    def needs_whole(self, _: Step) -> bool:
        return True

    def forward(self, losses: dict[str, Tensor], _: Step) -> Tensor:
        return losses["a"] + losses["b"]


def test_the_mean_loss_is_that_of_steps_with_labels():
    whole = part(32, seed=1)
    targets = {**whole.targets, "b": whole.targets["b"].copy()}
    targets["b"][1:] = np.nan

    def loss_of_b(batch_size: int) -> float:
        still = replace(RECIPE, epochs=1, learning_rate=0.0, batch_size=batch_size)
        (epoch,) = epochs(without_norm("a+b"), still, train=Part(whole.images, targets))
        return epoch.losses["b"]

    assert loss_of_b(8) == pytest.approx(loss_of_b(32))  # one of four steps has the only label
    targets["b"][:] = np.nan
    assert loss_of_b(8) == 0


def test_a_step_with_fewer_images_than_parts_is_refused():
    with pytest.raises(ValueError, match="steps of 8 images cannot be taken in 9 parts"):
        list(epochs(network(), replace(RECIPE, accumulate=9)))


def stepped(changes: dict[str, object], tree: str) -> dict[str, Tensor]:
    """What one step of plain gradient descent takes from each weight, per unit of the rate."""
    recipe = replace(ONE_STEP, optimizer="sgd", momentum=0.0, learning_rate=1.0, **changes)
    before, after = without_norm(tree), without_norm(tree)
    list(epochs(after, recipe, train=part(64, seed=1)))
    moved = dict(after.named_parameters())
    return {name: (value - moved[name]).detach() for name, value in before.named_parameters()}


@pytest.mark.parametrize("tree", ["a+b > a+b", "a+b > a,b", "a,b > a,b"])
def test_a_shared_gradient_is_the_mean_or_the_sum_over_the_tasks_that_use_it(tree: str):
    mean, total = stepped({}, tree), stepped({"shared_gradient": "sum"}, tree)
    network = without_norm(tree)
    for number, stage in enumerate(network.stages):
        assert isinstance(stage, BranchedStage)
        for branch, members in enumerate(network.tree.members(number)):
            for name, _ in stage.copies[branch].named_parameters():
                full = f"stages.{number}.copies.{branch}.{name}"
                torch.testing.assert_close(total[full], len(members) * mean[full])
    for name in (name for name in mean if name.startswith("heads")):
        torch.testing.assert_close(total[name], mean[name])


def test_a_gradient_that_is_too_long_is_cut_to_its_length():
    whole, cut = stepped({}, "a+b > a,b"), stepped({"clip": 0.01}, "a+b > a,b")

    def length(of: dict[str, Tensor]) -> float:
        return float(torch.cat([value.flatten() for value in of.values()]).norm())

    assert length(whole) > 0.02
    assert length(cut) == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(stepped({"clip": 100.0}, "a+b > a,b"), whole)


def test_a_network_is_compiled_only_when_asked(monkeypatch: pytest.MonkeyPatch):
    compiled: list[nn.Module] = []

    def note(given: nn.Module) -> nn.Module:
        compiled.append(given)
        return given

    monkeypatch.setattr(torch, "compile", note)
    trained = network()
    list(epochs(trained, ONE_STEP))
    assert not compiled
    list(epochs(trained, replace(ONE_STEP, compiled=True)))
    assert compiled == [trained]


class Dropping(nn.Module):
    """A stage that draws."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.drop = nn.Conv2d(3, 4, 1), nn.Dropout(0.5)

    def forward(self, features: Tensor) -> Tensor:
        return self.drop(self.convolution(features))


def test_dropout_draws_by_the_seed_and_leaves_other_draws_alone():
    def trained(seed: int) -> BranchedNetwork:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            dropping = BranchedNetwork(
                Tree.parse("a+b"), [Dropping()], {task: DenseHead(4, 1) for task in ("a", "b")}
            )
        list(epochs(dropping, replace(RECIPE, epochs=2), seed=seed))
        return dropping

    torch.manual_seed(3)
    first = trained(0)
    after = torch.rand(3)
    torch.manual_seed(3)
    torch.testing.assert_close(torch.rand(3), after)
    assert same_weights(trained(0), first)
    assert not same_weights(trained(1), first)
