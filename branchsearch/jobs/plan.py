"""What a job will do and take, said before it does anything."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from branchsearch.affinity.estimate import pair_trees
from branchsearch.affinity.features import feature_bytes, spooled_bytes
from branchsearch.affinity.measure import Reads
from branchsearch.jobs.check import CheckedJob
from branchsearch.jobs.measures import find_measures
from branchsearch.jobs.training import build_backbone, build_heads
from branchsearch.model.branched import BranchedNetwork
from branchsearch.space.cost import Cost
from branchsearch.space.extremes import extremes
from branchsearch.tree import Tree

#: Bytes of a trained number: itself, its gradient, two averages of AdamW, one of the weights.
_BYTES_PER_PARAMETER = 4 * 5


@dataclass(frozen=True, slots=True)
class Network:
    """What one tree's network takes, counted and measured on this machine.

    Attributes:
        tree: In text.
        parameters: Trained numbers.
        multiply_adds: Per image.
        latency_ms: Of one image on one CPU thread, milliseconds.
        training_mib: Memory of training: weights and what a batch leaves for the backward pass.
        step_seconds: Time of one training step on one CPU thread.
        fits: Whether it is within the budget.
    """

    tree: str
    parameters: int
    multiply_adds: int
    latency_ms: float
    training_mib: float
    step_seconds: float
    fits: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job will do and take.

    Attributes:
        name: Of the job.
        trees: How many the space holds; None where that cannot be counted.
        allowed: How many of them are within the budget; None where that cannot be counted.
        cheapest: Sharing most, see ``branchsearch.space.extremes``.
        dearest: Sharing least.
        baselines: Trainings of the first step.
        pairs: Trainings of two tasks together, for the measures of affinity that need them.
        spool_mib: Disk that the features of the probe images take for a while, one network after
            the other; 0 where they fit into memory.
        trials: Trainings of the search, at most.
        confirmations: Trainings of the last step, at most.
        seconds: Estimated wall-clock time of the steps that train, from this machine's training
            steps; without what early stopping saves.
        hours: Their sum.
        core_hours: The same, times the cores that work at once.
        gpu_hours: The same, times the GPUs that work at once.
    """

    name: str
    trees: int | None
    allowed: int | None
    cheapest: Network
    dearest: Network
    baselines: int
    pairs: int
    spool_mib: float
    trials: int
    confirmations: int
    seconds: Mapping[str, float]
    hours: float
    core_hours: float
    gpu_hours: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def plan(job: CheckedJob) -> Plan:
    """Count and measure; takes about a second and starts nothing."""
    spec, space = job.spec, job.space
    tasks, trees = len(space.tasks), space.space
    narrowest, widest = extremes(trees)
    cheapest, dearest = _measured(job, narrowest), _measured(job, widest)
    within = trees.within(space.costs, spec.upper_bounds)
    allowed = within.count() if within.countable else None
    once = allowed is not None and not spec.tuned  # else a tree may come again with other choices
    trials = min(spec.budget.max_trials, allowed or 0) if once else spec.budget.max_trials
    confirmed = min(spec.confirm.trees, trials) + 1

    steps = -(-space.collection.counts["train"] // spec.trial.batch_size)
    one_of_each = dearest.step_seconds  # the single-task networks together
    middle = (cheapest.step_seconds + dearest.step_seconds) / 2
    at_once = spec.resources.max_concurrent_trials
    short, full = spec.trial.epochs * steps / at_once, spec.confirm.epochs * steps / at_once
    reads = {measure.reads for measure in find_measures(spec.affinity.measures).values()}
    names = trees.tasks if Reads.GAINS in reads else ()
    pairs = len(pair_trees(names, trees.stages))
    seconds = {
        "baselines": short * (one_of_each + cheapest.step_seconds),
        "affinity": short * pairs * 2 / tasks * middle,
        "search": short * trials * middle,
        "confirm": full * spec.confirm.seeds * (one_of_each + confirmed * middle),
    }
    hours = sum(seconds.values()) / 3600
    return Plan(
        name=spec.metadata.name,
        trees=trees.count() if trees.countable else None,
        allowed=allowed,
        cheapest=cheapest,
        dearest=dearest,
        baselines=tasks + 1,
        pairs=pairs,
        spool_mib=_spooled_bytes(job) / 2**20 if Reads.FEATURES in reads else 0.0,
        trials=trials,
        confirmations=spec.confirm.seeds * (tasks + confirmed),
        seconds=seconds,
        hours=hours,
        core_hours=hours * at_once * spec.resources.num_cpus,
        gpu_hours=hours * at_once * spec.resources.num_gpus,
    )


def _spooled_bytes(job: CheckedJob) -> int:
    space = job.space
    backbone = build_backbone((space.spec.backbone.name, space.spec.backbone.args))
    images = space.collection.counts["probe"]
    return spooled_bytes(feature_bytes(backbone.modules, space.collection.image_size, images))


def _measured(job: CheckedJob, tree: Tree) -> Network:
    space, spec = job.space, job.spec
    backbone = build_backbone((space.spec.backbone.name, space.spec.backbone.args))
    network = BranchedNetwork(tree, backbone.modules, build_heads(backbone, space.tasks))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lacks it
    cost: Cost = space.costs.of(tree)
    height, width = space.collection.image_size
    batch = torch.zeros(spec.trial.batch_size, 3, height, width)
    batch = batch.to(memory_format=torch.channels_last)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        saved = _saved_bytes(network, batch)
        step = min(_timed_step(network, batch) for _ in range(2))
        network.eval()
        latency = min(_timed_forward(network, batch[:1]) for _ in range(5))
    finally:
        torch.set_num_threads(threads)
    return Network(
        tree=str(tree),
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        latency_ms=1000 * latency,
        training_mib=(cost.parameters * _BYTES_PER_PARAMETER + saved) / 2**20,
        step_seconds=step,
        fits=job.allows(tree),
    )


def _saved_bytes(network: BranchedNetwork, batch: Tensor) -> int:
    """Bytes of the activations that one batch leaves for the backward pass, each counted once."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(batch)
    return sum(kept.values())


def _timed_step(network: BranchedNetwork, batch: Tensor) -> float:
    began = time.perf_counter()
    sum(output.square().mean() for output in network(batch).values()).backward()
    return time.perf_counter() - began


@torch.no_grad()
def _timed_forward(network: BranchedNetwork, image: Tensor) -> float:
    began = time.perf_counter()
    network(image)
    return time.perf_counter() - began
