"""Training one network, epoch by epoch."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from branchsearch.datasets.dataset import Part
from branchsearch.datasets.loading import Batch
from branchsearch.model.branched import BranchedNetwork
from branchsearch.task import Task
from branchsearch.train.balancing.balancing import Balancing
from branchsearch.train.balancing.floors import with_floors
from branchsearch.train.checkpoint import Checkpoints
from branchsearch.train.descent import Descent
from branchsearch.train.judging import Judge, Load, images_at_once, judge
from branchsearch.train.processes import ALONE, Processes
from branchsearch.train.recipe import Recipe

#: From prediction and target to the mean over the labels. Where a step's images go through the
#: network in parts, or by several processes, a ``branchsearch.train.losses.Loss``.
Loss = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training images came to.

    Attributes:
        number: From 1.
        losses: Mean training loss of each task, unweighted, over the steps that have a label of it;
            0 where none has.
        metrics: Each task's metric on the validation images.
        seconds: Wall-clock time of the pass, judging included.
    """

    number: int
    losses: Mapping[str, float]
    metrics: Mapping[str, float]
    seconds: float


class NotFinite(ArithmeticError):
    """A loss, or its gradient, became infinite or not a number."""


def fit(
    network: BranchedNetwork,
    *,
    tasks: Sequence[Task],
    train: Part,
    validation: Part,
    load: Load,
    losses: Mapping[str, Loss],
    metrics: Mapping[str, Callable[[], Judge]],
    balancing: Balancing,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    checkpoints: Checkpoints | None = None,
    processes: Processes = ALONE,
) -> Iterator[Epoch]:
    """Train a network in place, and say after each epoch how good it is.

    When the iterator is exhausted the network holds the averaged weights, those that the last
    epoch's metrics belong to. Dropping the iterator earlier stops the training. Of several
    processes, each calls this alike and gets the same epochs.

    Args:
        network: Over the names of ``tasks``.
        tasks: What it predicts.
        train: Images to learn from.
        validation: Images to judge by; every process judges all of them.
        load: Makes batches of a part.
        losses: One per task, see ``branchsearch.train.losses``.
        metrics: One factory per task, see ``branchsearch.train.metrics``.
        balancing: From the tasks' losses to one number.
        recipe: How.
        seed: Of the order in which images come, and of all that a network or balancing draws.
        device: Where to train.
        checkpoints: Where the state after each epoch goes; what is there already is gone on from,
            its epochs said again first.
        processes: Which of those that train together; several are on GPUs or all on the CPU.

    Raises:
        NotFinite: Naming the tasks and the step.
        ValueError: A step has fewer images than it has parts.
    """
    network.to(device=device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lacks it
    trained = _synchronised(network) if processes.count > 1 and device.type == "cuda" else network
    names = [task.name for task in tasks]
    steps = -(-len(train) // recipe.batch_size)
    parts = recipe.accumulate * processes.count
    if len(train) // steps < parts:
        raise ValueError(f"steps of {len(train) // steps} images cannot be taken in {parts} parts")
    descent = Descent(
        trained,
        with_floors(balancing, recipe.floors, names).to(device),
        recipe=recipe,
        steps=recipe.epochs * steps,
        seed=seed,
        device=device,
        processes=processes,
    )
    done = _resumed(descent, checkpoints)
    yield from done
    order = np.random.default_rng(seed)
    for number in range(1, recipe.epochs + 1):
        chosen = np.array_split(order.permutation(len(train)), steps)
        if number <= len(done):
            continue
        began = time.perf_counter()
        trained.train()
        with _draws(seed, number, processes.rank, device):
            batches = load(train, _shares(chosen, recipe.accumulate, processes), number)
            sums, labelled = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
            for _ in range(steps):
                step = list(islice(batches, recipe.accumulate))
                for name, loss in _take_step(descent, step, losses, names, number, processes):
                    sums[name] += loss
                    labelled[name] += loss != 0
            _refuse_a_gradient_that_is_not_finite(descent)
        # batch norm on CPUs knows the images of one process alone, and all have to judge alike
        processes.as_first([*descent.kept.buffers(), *trained.buffers()])
        judged = judge(
            descent.kept,
            names=names,
            part=validation,
            load=load,
            metrics=metrics,
            device=device,
            at_once=images_at_once(recipe, processes),
        )
        means = {name: total / max(1, labelled[name]) for name, total in sums.items()}
        done.append(Epoch(number, means, judged, time.perf_counter() - began))
        if number == recipe.epochs:
            network.load_state_dict(descent.kept.state_dict())
        elif checkpoints is not None and processes.rank == 0:
            state = {"epochs": [asdict(epoch) for epoch in done], "descent": descent.state_dict()}
            checkpoints.save(number, state)
        yield done[-1]


def _take_step(
    descent: Descent,
    parts: Sequence[Batch],
    losses: Mapping[str, Loss],
    names: Sequence[str],
    epoch: int,
    processes: Processes,
) -> list[tuple[str, float]]:
    """Go one step, and give every task's loss of all its images, before the step."""
    count = len(parts) * processes.count
    labels: Mapping[str, Sequence[Tensor]] = (
        _counted(parts, losses, names, processes) if count > 1 else dict.fromkeys(names, ())
    )

    def losses_of(part: Batch) -> dict[str, Tensor]:
        predicted = descent.predict(part.images)
        # a part's loss is multiplied so that it is as big as that of the whole
        each = {
            name: _times(losses[name](predicted[name], part.targets[name], *labels[name]), count)
            for name in names
        }
        return _of_all(each, processes)

    weighed = None
    if len(parts) > 1 and descent.needs_whole(epoch):
        with descent.looking_ahead():
            ahead = [losses_of(part) for part in parts]
            whole = {name: torch.stack([each[name] for each in ahead]).mean() for name in names}
        weighed = descent.weigh(whole, epoch=epoch)
    values = torch.zeros(len(names), dtype=torch.float64)
    for number, part in enumerate(parts, start=1):
        with descent.part(last=number == len(parts)):
            each = losses_of(part)
            now = torch.stack(list(each.values())).detach().tolist()
            # asked for here, where the device has just been waited for
            _refuse_a_gradient_that_is_not_finite(descent)
            _refuse_losses_that_are_not_finite(names, now, step=descent.taken)
            values += torch.tensor(now, dtype=torch.float64) / len(parts)
            descent.backward(each, epoch=epoch, share=1 / len(parts), weighed=weighed)
    descent.update()
    return list(zip(names, values.tolist(), strict=True))


def _counted(
    parts: Sequence[Batch],
    losses: Mapping[str, Loss],
    names: Sequence[str],
    processes: Processes,
) -> dict[str, tuple[Tensor]]:
    """How many labels of each task a whole step has, as its loss counts them."""
    each: dict[str, Any] = {
        name: sum(losses[name].count(part.targets[name]) for part in parts)  # type: ignore[attr-defined]
        for name in names
    }
    everywhere = processes.sum(torch.cat(list(each.values())))
    pieces = torch.split(everywhere, [len(labels) for labels in each.values()])
    return {name: (piece,) for name, piece in zip(names, pieces, strict=True)}


def _times(loss: Tensor, count: int) -> Tensor:
    return loss * count if count > 1 else loss


def _of_all(losses: dict[str, Tensor], processes: Processes) -> dict[str, Tensor]:
    """The losses of all processes' images, with the gradient of this process's."""
    if processes.count == 1:
        return losses
    ours = torch.stack(list(losses.values()))
    everyones = processes.mean(ours)
    return dict(zip(losses, ours + (everyones - ours).detach(), strict=True))


def _shares(
    batches: Sequence[np.ndarray], accumulate: int, processes: Processes
) -> list[np.ndarray]:
    """What this process takes of every batch, in the parts that it takes it in."""
    return [
        part for batch in batches for part in np.array_split(processes.share_of(batch), accumulate)
    ]


def _resumed(descent: Descent, checkpoints: Checkpoints | None) -> list[Epoch]:
    """Go on from what is kept, and give the epochs before it."""
    state = checkpoints.newest() if checkpoints is not None else None
    if state is None:
        return []
    descent.load_state_dict(state["descent"])
    return [Epoch(**epoch) for epoch in state["epochs"]]


@contextmanager
def _draws(seed: int, epoch: int, rank: int, device: torch.device) -> Iterator[None]:
    """See to it that what torch draws, as for dropout, depends on these alone."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        (drawn,) = np.random.SeedSequence([seed, epoch, rank]).generate_state(1)
        torch.manual_seed(int(drawn))
        yield


def _synchronised(network: BranchedNetwork) -> BranchedNetwork:
    """A copy whose batch norms see the images of all processes; its weights go back in the end."""
    converted: BranchedNetwork = nn.SyncBatchNorm.convert_sync_batchnorm(  # type: ignore[no-untyped-call]  # torch's own
        deepcopy(network)
    )
    return converted


def _refuse_losses_that_are_not_finite(
    names: Sequence[str], losses: Sequence[float], *, step: int
) -> None:
    told = [
        f"of task {name!r} is {loss}"
        for name, loss in zip(names, losses, strict=True)
        if not np.isfinite(loss)
    ]
    if told:
        raise NotFinite(f"the loss {', '.join(told)} at step {step}")


def _refuse_a_gradient_that_is_not_finite(descent: Descent) -> None:
    if tasks := descent.spoiled_tasks():
        told = ", ".join(f"of task {task!r}" for task in tasks)
        raise NotFinite(f"the gradient {told} is not finite at step {descent.taken - 1}")


def images_of(
    part: Part,
    chosen: np.ndarray,
    prepare: Callable[[np.ndarray], Tensor],
    device: torch.device,
) -> Tensor:
    """Some images of a part, by position, as networks take them."""
    images = prepare(part.images[chosen])
    return images.to(device, memory_format=torch.channels_last)


def target_of(part: Part, name: str, chosen: np.ndarray, device: torch.device) -> Tensor:
    """One task's target for the same images, as losses take it."""
    target = torch.from_numpy(part.targets[name][chosen]).to(device)
    return target.float() if target.is_floating_point() else target
