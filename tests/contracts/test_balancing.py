"""What every balancing of the catalog keeps."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from branchsearch import catalog
from branchsearch.model.branched import BranchedNetwork
from branchsearch.train.balancing.balancing import Step
from branchsearch.train.checkpoint import Checkpoints
from branchsearch.train.recipe import Recipe
from branchsearch.tree import Tree
from tests.networks import small
from tests.trainings import RECIPE, epochs, judged, network, same_weights

BALANCINGS = catalog.names("balancing")
TREES = ["a+b+c > a+b+c", "a+b+c > a,b+c", "a,b+c > a,b,c", "a,b,c > a,b,c"]
WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}


def make(name: str, weights: Mapping[str, float] = WEIGHTS) -> nn.Module:
    balancing: nn.Module = catalog.find("balancing", name)(weights)
    return balancing


def of_tree(tree: str) -> BranchedNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return small(Tree.parse(tree))


def losses_of(trained: nn.Module, number: int, lacking: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Losses of different magnitudes on random images; 0, with gradients of 0, of what lacks."""
    draw = torch.Generator().manual_seed(number)
    predicted = trained(torch.randn(4, 3, 8, 8, generator=draw))
    sizes = {"a": 1.0, "b": 30.0, "c": 0.1}
    return {
        task: (sizes[task] * (task not in lacking)) * (predicted[task] - 0.5).square().mean()
        for task in predicted
    }


def gradients(
    trained: nn.Module, balancing: nn.Module, losses: Mapping[str, Tensor], number: int = 0
) -> list[Tensor]:
    trained.zero_grad()
    balancing.zero_grad()
    total = balancing(losses, Step(trained, number, epoch=1 + number // 2, seed=0))
    total.backward()
    assert total.shape == ()
    assert total.isfinite()
    assert all(own.grad.isfinite().all() for own in balancing.parameters() if own.grad is not None)
    return [
        torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
        for weight in trained.parameters()
    ]


@pytest.mark.parametrize("name", BALANCINGS)
def test_with_floors_a_step_in_parts_is_as_it_was_until_a_task_is_solved(name: str):
    recipe = replace(RECIPE, accumulate=2, epochs=1)
    one, other = network(), network()
    weights = {"a": 1.0, "b": 2.0}
    list(epochs(one, recipe, balancing=make(name, weights)))
    list(epochs(other, replace(recipe, floors={"a": 1e-9}), balancing=make(name, weights)))
    assert same_weights(one, other)


@pytest.mark.parametrize("name", BALANCINGS)
@pytest.mark.parametrize("tree", TREES)
def test_losses_and_gradients_are_finite_and_every_weight_is_trained(name: str, tree: str):
    trained, balancing = of_tree(tree), make(name)
    moved = [False] * len(list(trained.parameters()))
    for number in range(6):
        given = gradients(trained, balancing, losses_of(trained, number), number)
        assert all(gradient.isfinite().all() for gradient in given)
        moved = [was or bool(now.any()) for was, now in zip(moved, given, strict=True)]
    assert all(moved)


class PlainNetwork(nn.Module):
    """One network with a head per task, written by hand."""

    def __init__(self, branched: BranchedNetwork) -> None:
        super().__init__()
        self.first, self.second = (stage.copies[0] for stage in branched.stages)
        self.of_a, self.of_b, self.of_c = branched.heads

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features, size = self.second(self.first(images)), images.shape[-2:]
        return {
            "a": self.of_a(features, size),
            "b": self.of_b(features, size),
            "c": self.of_c(features, size),
        }


def plain_gradients(name: str, plain: PlainNetwork, losses: dict[str, Tensor]) -> list[Tensor]:
    """The same rule on a network that knows no tree, its trunk and heads told apart by hand."""
    trunk = [*plain.first.parameters(), *plain.second.parameters()]
    heads = [*plain.of_a.parameters(), *plain.of_b.parameters(), *plain.of_c.parameters()]
    balancing = make(name)
    weighed = [WEIGHTS[task] * losses[task] for task in WEIGHTS]
    if not hasattr(balancing, "aggregator"):
        trunk_of_all: Any = of_tree("a+b+c > a+b+c")  # gradnorm asks where the shared weights are
        trunk_of_all.stages[1].copies[0] = plain.second
        total = balancing(losses, Step(trunk_of_all, 0, epoch=1, seed=0))
        return list(torch.autograd.grad(total, [*trunk, *heads]))
    rows = torch.stack(
        [
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, trunk, retain_graph=True)])
            for loss in weighed
        ]
    )
    with torch.random.fork_rng():
        torch.manual_seed(int(np.random.SeedSequence([0, 0]).generate_state(1)[0]))
        direction = balancing.aggregator(rows)
    if name not in ("pcgrad", "config", "graddrop"):  # as long as a mean, not as a sum
        direction = 3 * direction
    pieces = torch.split(direction, [weight.numel() for weight in trunk])
    shaped = [piece.view_as(weight) for piece, weight in zip(pieces, trunk, strict=True)]
    return [*shaped, *torch.autograd.grad(torch.stack(weighed).sum(), heads)]


@pytest.mark.parametrize("name", BALANCINGS)
def test_a_tree_with_one_branch_is_the_plain_network_under_the_same_rule(name: str):
    trained = of_tree("a+b+c > a+b+c")
    ours = gradients(trained, make(name), losses_of(trained, 0))
    plain = PlainNetwork(of_tree("a+b+c > a+b+c"))
    theirs = plain_gradients(name, plain, losses_of(plain, 0))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", [n for n in BALANCINGS if hasattr(make(n), "aggregator")])
def test_weights_that_one_task_uses_alone_follow_that_task(name: str):
    trained = of_tree("a,b+c > a,b,c")
    ours, plain = (
        gradients(trained, make(which), losses_of(trained, 0)) for which in (name, "fixed")
    )
    for (weight, _), one, other in zip(trained.named_parameters(), ours, plain, strict=True):
        if not weight.startswith("stages.0.copies.1."):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", BALANCINGS)
@pytest.mark.parametrize("tree", TREES[1:3])
@pytest.mark.parametrize("lacking", [("b",), ("a", "b", "c")])
def test_a_batch_may_lack_tasks_first_or_later(name: str, tree: str, lacking: tuple[str, ...]):
    trained, balancing = of_tree(tree), make(name)
    for number, lacks in enumerate([lacking, (), lacking, ()]):
        given = gradients(trained, balancing, losses_of(trained, number, lacks), number)
        assert all(gradient.isfinite().all() for gradient in given)
        heads = dict(zip((n for n, _ in trained.named_parameters()), given, strict=True))
        for index, task in enumerate(WEIGHTS):
            own = [g for n, g in heads.items() if n.startswith(f"heads.{index}.")]
            assert any(bool(g.any()) for g in own) == (task not in lacks)
        # nor may what is shared stand still while other tasks have labels
        root = torch.cat([g.flatten() for n, g in heads.items() if n.startswith("stages.0.")])
        assert (root.norm() > 1e-3) == (set(lacks) != set(WEIGHTS))


@pytest.mark.parametrize("name", BALANCINGS)
def test_what_it_remembers_survives_a_checkpoint(name: str, tmp_path: Path):
    recipe = replace(RECIPE, epochs=3, batch_size=16)
    weights = {"a": 1.0, "b": 2.0}
    whole, resumed = network(), network()
    list(epochs(whole, recipe, balancing=make(name, weights)))
    stopped = epochs(
        network(), recipe, balancing=make(name, weights), checkpoints=Checkpoints(tmp_path)
    )
    for _ in range(2):
        next(stopped)
    stopped.close()
    again = list(
        epochs(resumed, recipe, balancing=make(name, weights), checkpoints=Checkpoints(tmp_path))
    )
    assert [epoch.number for epoch in again] == [1, 2, 3]
    assert same_weights(resumed, whole)


@pytest.mark.parametrize("name", BALANCINGS)
def test_every_task_is_learnt(name: str):
    recipe: Recipe = replace(RECIPE, epochs=5)
    trained = network()
    before = judged(trained)
    *_, last = epochs(trained, recipe, balancing=make(name, {"a": 1.0, "b": 1.0}))
    assert all(last.metrics[task] < before[task] for task in ("a", "b"))


@pytest.mark.parametrize("name", BALANCINGS)
def test_in_half_precision_an_overflow_is_passed_on_and_not_stored(name: str):
    """As torch's scaler needs it: it then takes no step, and tries a smaller scale."""
    trained, balancing = of_tree("a+b+c > a,b+c"), make(name)
    losses = losses_of(trained, 0)
    step = Step(trained, 0, epoch=1, seed=0, scale=1e38)
    (balancing(losses, step) * 1e38).backward()
    assert not all(weight.grad.isfinite().all() for weight in trained.parameters())
    after = gradients(trained, balancing, losses_of(trained, 1), 1)
    assert all(gradient.isfinite().all() for gradient in after)
