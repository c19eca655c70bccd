"""Training one network, epoch by epoch."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from branchsearch.datasets.dataset import Part
from branchsearch.model.branched import BranchedNetwork
from branchsearch.task import Task
from branchsearch.train.balancing import Balancing

Loss = Callable[[Tensor, Tensor], Tensor]

_Tensors = tuple[Tensor, ...] | list[Tensor]

#: Images per step while judging, where no gradients are kept.
_JUDGED_AT_ONCE = 250


class Judge(Protocol):
    """What a metric accumulates over batches, as every ``torchmetrics.Metric`` does.

    A protocol, so that a spec can be checked without the second that torchmetrics takes to import.
    """

    def to(self, device: torch.device) -> Any:  # noqa: ANN401  # itself
        """Move what is accumulated."""
        ...

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Take a batch into account."""
        ...

    def compute(self) -> Tensor:
        """The metric of all batches together."""
        ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained; the same for every tree of a search.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step.
        learning_rate: Of AdamW, after warm-up; falls to 0 along a cosine.
        weight_decay: Of AdamW, on every weight.
        warm_up: Share of all steps, in [0, 1), in which the learning rate rises linearly.
        averaging: Decay per step, in [0, 1), of the moving average of the weights that is judged
            and kept; 0 keeps the last weights.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warm_up: float
    averaging: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training images came to.

    Attributes:
        number: From 1.
        losses: Mean training loss of each task, unweighted.
        metrics: Each task's metric on the validation images.
        seconds: Wall-clock time of the pass, judging included.
    """

    number: int
    losses: Mapping[str, float]
    metrics: Mapping[str, float]
    seconds: float


class NotFinite(ArithmeticError):
    """A loss became infinite or not a number."""


def fit(
    network: BranchedNetwork,
    *,
    tasks: Sequence[Task],
    train: Part,
    validation: Part,
    prepare: Callable[[np.ndarray], Tensor],
    losses: Mapping[str, Loss],
    metrics: Mapping[str, Callable[[], Judge]],
    balancing: Balancing,
    recipe: Recipe,
    seed: int,
    device: torch.device,
) -> Iterator[Epoch]:
    """Train a network in place, and say after each epoch how good it is.

    When the iterator is exhausted the network holds the averaged weights, those that the last
    epoch's metrics belong to. Dropping the iterator earlier stops the training.

    Args:
        network: Over the names of ``tasks``.
        tasks: What it predicts.
        train: Images to learn from.
        validation: Images to judge by.
        prepare: From uint8 images to what the network takes.
        losses: One per task, see ``branchsearch.train.losses``.
        metrics: One factory per task, see ``branchsearch.train.metrics``.
        balancing: From the tasks' losses to one number.
        recipe: How.
        seed: Of the order in which images come.
        device: Where to train.

    Raises:
        NotFinite: Naming the task and the step.
    """
    order = np.random.default_rng(seed)
    network.to(device=device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lacks it
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        fused=True,  # small networks spend more time in a hundred small updates than in sums
    )
    batches = -(-len(train) // recipe.batch_size)
    rate = _warm_up_then_cosine(recipe.epochs * batches, recipe.warm_up)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    kept = AveragedModel(network, multi_avg_fn=_towards(recipe.averaging), use_buffers=True)
    names = [task.name for task in tasks]
    for number in range(1, recipe.epochs + 1):
        began = time.perf_counter()
        network.train()
        sums = dict.fromkeys(names, 0.0)
        for step, chosen in enumerate(np.array_split(order.permutation(len(train)), batches)):
            predicted = network(images_of(train, chosen, prepare, device))
            each = {
                name: losses[name](predicted[name], target_of(train, name, chosen, device))
                for name in names
            }
            _refuse_what_is_not_finite(each, step=(number - 1) * batches + step)
            optimizer.zero_grad()
            balancing(each).backward()  # type: ignore[no-untyped-call]  # torch's own
            network.average_gradients()
            optimizer.step()
            schedule.step()
            kept.update_parameters(network)
            for name in names:
                sums[name] += each[name].item()
        judged = judge(
            kept.module,
            names=names,
            part=validation,
            prepare=prepare,
            metrics=metrics,
            device=device,
        )
        means = {name: total / batches for name, total in sums.items()}
        if number == recipe.epochs:
            network.load_state_dict(kept.module.state_dict())
        yield Epoch(number, means, judged, time.perf_counter() - began)


@torch.no_grad()
def judge(
    network: nn.Module,
    *,
    names: Sequence[str],
    part: Part,
    prepare: Callable[[np.ndarray], Tensor],
    metrics: Mapping[str, Callable[[], Judge]],
    device: torch.device,
) -> dict[str, float]:
    """Each task's metric over all images of a part."""
    network.eval()
    judges = {name: metrics[name]().to(device) for name in names}
    for start in range(0, len(part), _JUDGED_AT_ONCE):
        chosen = np.arange(start, min(start + _JUDGED_AT_ONCE, len(part)))
        predicted = network(images_of(part, chosen, prepare, device))
        for name in names:
            judges[name].update(predicted[name].float(), target_of(part, name, chosen, device))
    return {name: float(metric.compute()) for name, metric in judges.items()}


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


def _warm_up_then_cosine(steps: int, warm_up: float) -> Callable[[int], float]:
    rising = round(warm_up * steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + float(np.cos(np.pi * (step - rising) / max(1, steps - rising))))

    return factor


def _towards(decay: float) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    def average(kept: _Tensors, now: _Tensors, updates: Tensor | int) -> None:
        # a fresh average forgets faster, or the first weights would stay in it for long
        keep = min(decay, float(updates) / (10 + float(updates)))
        if kept[0].is_floating_point():
            torch._foreach_lerp_(kept, now, 1 - keep)
        else:
            torch._foreach_copy_(kept, now)

    return average


def _refuse_what_is_not_finite(losses: Mapping[str, Tensor], *, step: int) -> None:
    for name, loss in losses.items():
        if not loss.isfinite():
            raise NotFinite(f"the loss of task {name!r} is {loss.item()} at step {step}")
