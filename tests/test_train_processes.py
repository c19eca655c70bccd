"""Two processes on the CPU train as one does with all the images."""

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing

from branchsearch import catalog
from branchsearch.datasets.dataset import Part
from branchsearch.model.branched import BranchedNetwork
from branchsearch.train.checkpoint import Checkpoints
from branchsearch.train.fit import NotFinite
from branchsearch.train.processes import ALONE, Processes, of_group
from tests.test_train_recipe import uneven, without_norm
from tests.trainings import RECIPE, epochs, network, part

STEPS = replace(RECIPE, epochs=2, batch_size=12, optimizer="sgd", learning_rate=0.05, averaging=0.5)
TREE = "a+b > a,b"


def lopsided() -> Part:
    """Images of which the second process never sees one that has a label of b."""
    whole = uneven(24)
    return Part(whole.images, {**whole.targets, "b": np.full_like(whole.targets["b"], np.nan)})


def trained(
    recipe: Any,  # noqa: ANN401
    train: Part,
    balancing: str,
    folder: Path,
    make: Callable[[str], BranchedNetwork] = without_norm,
) -> tuple[Any, Any]:
    started = make(TREE)
    told = list(
        epochs(
            started,
            recipe,
            train=train,
            balancing=catalog.find("balancing", balancing)({"a": 1.0, "b": 2.0}),
            processes=of_group(),
            checkpoints=Checkpoints(folder),
        )
    )
    return started.state_dict(), [(epoch.losses, epoch.metrics) for epoch in told]


def _everything(rank: int, port: int, folder: Path) -> None:
    """In each process: all trainings of this file, one after another; starting one takes long."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    try:
        assert of_group() == Processes(rank, 2)
        results = {
            name: trained(recipe, train(), balancing, folder / name)
            for name, (recipe, train, balancing) in CASES.items()
        }
        normed = trained(STEPS, uneven(24), "fixed", folder / "normed", network)
        results["normed"] = normed
        try:
            trained(replace(STEPS, learning_rate=3e38), part(24, seed=1), "fixed", folder / "far")
        except NotFinite as error:
            results["far"] = (str(error), None)
        torch.save(results, folder / f"{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


CASES: dict[str, tuple[Any, Callable[[], Part], str]] = {
    "even": (STEPS, lambda: part(24, seed=1), "fixed"),
    "missing": (STEPS, lambda: uneven(24), "equal_start"),
    "absent": (STEPS, lopsided, "fixed"),
    "parts": (replace(STEPS, accumulate=3), lambda: uneven(24), "fixed"),
    "adamw": (replace(STEPS, optimizer="adamw", clip=0.1), lambda: uneven(24), "uncertainty"),
    "gradnorm": (STEPS, lambda: uneven(24), "gradnorm"),
    "gls": (STEPS, lambda: uneven(24), "gls"),
    "upgrad": (STEPS, lambda: uneven(24), "upgrad"),
    # not linear even where no gradients conflict: rows must be everyone's before they are combined
    "mgda": (STEPS, lambda: uneven(24), "mgda"),
    "pcgrad": (STEPS, lambda: uneven(24), "pcgrad"),
    "floors": (replace(STEPS, floors={"a": 100.0}), lambda: uneven(24), "fixed"),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, tuple[Any, Any]]]:
    """What each of two processes came to, by case."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_everything, (port, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_are_one_with_all_the_images(
    case: str, both: list[dict[str, tuple[Any, Any]]], tmp_path: Path
):
    recipe, train, balancing = CASES[case]
    weights, told = trained(recipe, train(), balancing, tmp_path)
    for theirs, their_told in (results[case] for results in both):
        for name, value in weights.items():
            torch.testing.assert_close(theirs[name], value, rtol=1e-4, atol=1e-5)
        for (losses, metrics), (their_losses, their_metrics) in zip(told, their_told, strict=True):
            assert their_losses == pytest.approx(losses, rel=1e-4, abs=1e-6)
            assert their_metrics == pytest.approx(metrics, rel=1e-3)


def test_all_processes_hold_the_same_weights(both: list[dict[str, tuple[Any, Any]]]):
    for case in CASES:
        first, second = (results[case][0] for results in both)
        assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_with_batch_norm_all_processes_judge_alike(both: list[dict[str, tuple[Any, Any]]]):
    (ours, told), (theirs, their_told) = (results["normed"] for results in both)
    assert told == their_told
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_what_one_cannot_go_on_with_stops_all(both: list[dict[str, tuple[Any, Any]]]):
    first, second = (results["far"][0] for results in both)
    assert "the loss of task" in first
    assert first == second


def test_shares_are_all_of_a_batch_and_nearly_alike():
    batch = np.arange(11)
    shares = [Processes(rank, 3).share_of(batch) for rank in range(3)]
    assert np.concatenate(shares).tolist() == batch.tolist()
    assert {len(share) for share in shares} == {3, 4}


def test_alone_there_is_no_group():
    assert of_group() == ALONE
    assert ALONE.mean(torch.tensor([2.0])).tolist() == [2]
