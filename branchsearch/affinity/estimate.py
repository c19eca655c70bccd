"""The affinity of tasks by any measures: train what they need, read it once, compare.

Shape letters: S = stages, T = tasks, N = batches.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.evidence import Features, Gram, gram
from branchsearch.affinity.features import AT_ONCE, NotComparable, column_chunks, stage_features
from branchsearch.affinity.measure import Measure, Reads
from branchsearch.affinity.shared_network import Batch, Readings, read_batches
from branchsearch.datasets.dataset import Dataset
from branchsearch.model.branched import BranchedNetwork, BranchedStage
from branchsearch.task import Task
from branchsearch.train.fit import Loss, images_of, target_of
from branchsearch.train.scores import gain
from branchsearch.tree import Tree


@runtime_checkable
class Finished(Protocol):
    """A training that came to its end."""

    def trained(self) -> BranchedNetwork:
        """The network with its trained weights."""
        ...

    def result(self) -> Mapping[str, Any]:
        """What it came to; under ``metrics`` each task's metric on validation."""
        ...


#: Trains trees over all or some of the tasks, side by side, or takes them from where they are kept.
Train = Callable[[Sequence[Tree]], Sequence[Finished]]


def estimate(
    measures: Mapping[str, Measure],
    *,
    tasks: Sequence[Task],
    stages: int,
    train: Train,
    dataset: Dataset,
    losses: Mapping[str, Loss],
    batches: int,
    batch_size: int,
    step: float,
    draws: int,
    seed: int,
    device: torch.device,
    folder: Path | None = None,
) -> list[Affinity]:
    """Compare tasks by several measures; what several of them need is trained and read once.

    Features come from T single-task networks on the data set's probe images, the same for all;
    gradients and losses from the network that shares everything, once it is trained, on training
    batches; gains from T (T - 1) / 2 · S networks of two tasks beside the single-task ones.

    Args:
        measures: What to measure, by name.
        tasks: The T tasks, sorted by name.
        stages: S.
        train: Has networks trained.
        dataset: Its ``probe`` and ``train`` parts are read.
        losses: One per task, see ``branchsearch.train.losses``.
        batches: N, at most; a small training part has fewer.
        batch_size: Images in each.
        step: Of a lookahead, see ``branchsearch.affinity.shared_network``.
        draws: Resamplings and permutations; 0 leaves intervals and chance levels unknown.
        seed: Of those draws, and of which training images are read.
        device: Where networks run.
        folder: Where features go that memory does not hold.

    Returns:
        One per measure, in their order.

    Raises:
        NotComparable: Naming the measure or the task, the stage and the images.
    """
    names = [task.name for task in tasks]
    reads = {measure.reads for measure in measures.values()}
    evidence: dict[Reads, object] = {}
    if Reads.FEATURES in reads:
        alone = train([Tree.share_all([name], stages) for name in names])
        evidence[Reads.FEATURES] = _features(names, alone, dataset, device, folder)
    if reads & {Reads.GRADIENTS, Reads.LOSSES}:
        (shared,) = train([Tree.share_all(names, stages)])
        readings = _readings(
            shared.trained().to(device),
            _batches(names, dataset, batches, batch_size, seed, device),
            losses,
            step=step if Reads.LOSSES in reads else None,
        )
        evidence[Reads.GRADIENTS], evidence[Reads.LOSSES] = readings.gradients, readings.lookahead
    if Reads.GAINS in reads:
        evidence[Reads.GAINS] = _gains(tasks, stages, train)
    return compare(measures, names, evidence, draws=draws, seed=seed)


def compare(
    measures: Mapping[str, Measure],
    names: Sequence[str],
    evidence: Mapping[Reads, object],
    *,
    draws: int,
    seed: int,
) -> list[Affinity]:
    """Put each measure to the evidence that it reads.

    Raises:
        NotComparable: Naming the measure and what it refuses.
    """
    found = []
    for name, measure in measures.items():
        try:
            compared = measure.estimate(evidence[measure.reads], draws=draws, seed=seed)
        except ValueError as error:
            raise NotComparable(f"{name}: {error}") from error
        found.append(Affinity(name, tuple(names), compared))
    return found


def pair_trees(names: Sequence[str], stages: int) -> dict[tuple[int, str, str], Tree]:
    """The networks of two tasks that gains are read from: by depth (1 to S) and the two names."""
    return {
        (depth, one, other): Tree.from_labels(
            [one, other], [(0, int(stage >= depth)) for stage in range(stages)]
        )
        for one, other in combinations(names, 2)
        for depth in range(1, stages + 1)
    }


def _features(
    names: Sequence[str],
    alone: Sequence[Finished],
    dataset: Dataset,
    device: torch.device,
    folder: Path | None,
) -> Features:
    """One task after the other: of its features, only the products of images stay."""
    probe = dataset.parts["probe"]
    per_task = []
    for name, finished in zip(names, alone, strict=True):
        network = finished.trained().to(device)
        images = (
            dataset.prepare(probe.images[start : start + AT_ONCE]).to(device)
            for start in range(0, len(probe), AT_ONCE)
        )
        try:
            read = stage_features(
                network, _only_copies(network), images, images=len(probe), folder=folder
            )
        except NotComparable as error:
            raise NotComparable(f"task {name!r}: {error}") from error
        per_task.append(
            [
                _gram(column_chunks(features, device), source=f"{name} at stage {stage}")
                for stage, features in enumerate(read)
            ]
        )
    return list(zip(*per_task, strict=True))


def _gram(chunks: Iterator[Tensor], *, source: str) -> Gram:
    try:
        return gram(chunks, source=source)
    except ValueError as error:
        raise NotComparable(str(error)) from error


def _only_copies(network: BranchedNetwork) -> list[nn.Module]:
    """The S stages of a network of one task."""
    stages = [stage for stage in network.stages if isinstance(stage, BranchedStage)]
    return [stage.copies[0] for stage in stages]


def _batches(
    names: Sequence[str],
    dataset: Dataset,
    most: int,
    size: int,
    seed: int,
    device: torch.device,
) -> Iterator[Batch]:
    """Training images in random order, each at most once, in full batches where there is one."""
    part = dataset.parts["train"]
    order = np.random.default_rng(seed).permutation(len(part))
    for number in range(min(most, max(1, len(part) // size))):
        chosen = np.sort(order[number * size : (number + 1) * size])
        images = images_of(part, chosen, dataset.prepare, device)
        yield images, {name: target_of(part, name, chosen, device) for name in names}


def _readings(
    network: BranchedNetwork,
    batches: Iterator[Batch],
    losses: Mapping[str, Loss],
    *,
    step: float | None,
) -> Readings:
    try:
        return read_batches(network, batches, losses, step=step)
    except ValueError as error:
        raise NotComparable(f"tasks {list(network.tree.tasks)}: {error}") from error


def _gains(
    tasks: Sequence[Task], stages: int, train: Train
) -> Float[np.ndarray, "depths tasks tasks"]:
    """Gains of two-task networks over single-task ones, in percent, [S + 1, T, T]."""
    names = [task.name for task in tasks]
    pairs = pair_trees(names, stages)
    alone = train([Tree.share_all([name], stages) for name in names])
    references = [one.result()["metrics"][name] for one, name in zip(alone, names, strict=True)]
    gains = np.zeros((stages + 1, len(names), len(names)))  # sharing no stage gains nothing
    together = train(list(pairs.values()))
    for (depth, *pair), finished in zip(pairs, together, strict=True):
        metrics = finished.result()["metrics"]
        for place, other in (pair, pair[::-1]):
            i, j = names.index(place), names.index(other)
            gains[depth, i, j] = gain(tasks[i], metrics[place], references[i])
    return gains
