"""The steps of a training: forward in the precision asked for, backward, and one update."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from branchsearch.model.branched import BranchedNetwork
from branchsearch.train.averaging import averaged
from branchsearch.train.balancing.balancing import Balancing, Step, needs_whole, stacked
from branchsearch.train.optimizers import make_optimizer
from branchsearch.train.processes import Processes
from branchsearch.train.recipe import Precision, Recipe, SharedGradient
from branchsearch.train.schedule import rates

_DTYPES = {Precision.BFLOAT16: torch.bfloat16, Precision.FLOAT16: torch.float16}


class Descent:
    """A network on its way, with all that a step changes.

    Args:
        network: What is trained, in place.
        balancing: From the tasks' losses to one number; it may learn, too.
        recipe: How.
        steps: How many there will be.
        seed: Of the balancing's draws.
        device: Where the network is.
        processes: Which of those that train it together.
    """

    def __init__(
        self,
        network: BranchedNetwork,
        balancing: Balancing,
        *,
        recipe: Recipe,
        steps: int,
        seed: int,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self._network, self._balancing, self._recipe = network, balancing, recipe
        self._seed, self._device, self._processes = seed, device, processes
        self._optimizer = make_optimizer(recipe, network.parameters(), balancing.parameters())
        self._rates = rates(recipe, steps)
        self._dtype = _DTYPES.get(Precision(recipe.precision))
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype is torch.float16)
        self._kept = averaged(network, recipe.averaging)
        self._runs: nn.Module = (
            cast(nn.Module, torch.compile(network)) if recipe.compiled else network
        )
        if processes.count > 1:
            self._runs = DistributedDataParallel(
                self._runs, device_ids=[device] if device.type == "cuda" else None
            )
        self._length = torch.zeros(())  # of the last step's gradient
        self.taken = 0  # steps

    @property
    def kept(self) -> BranchedNetwork:
        """The network with averaged weights."""
        return cast(BranchedNetwork, self._kept.module)

    def part(self, *, last: bool) -> AbstractContextManager[None]:
        """Forward and backward pass of a part of a step: processes talk in the last one alone."""
        if isinstance(self._runs, DistributedDataParallel) and not last:
            return cast(AbstractContextManager[None], self._runs.no_sync())
        return nullcontext()

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Run the network; predictions are float32 whatever it was run in."""
        with torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype is not None):
            predicted: dict[str, Tensor] = self._runs(images)
        return {task: prediction.float() for task, prediction in predicted.items()}

    def needs_whole(self, epoch: int) -> bool:
        """Whether the balancing must see the losses of all parts of a step before the first."""
        return needs_whole(self._balancing, self._step(epoch))

    @contextmanager
    def looking_ahead(self) -> Iterator[None]:
        """What runs inside leaves no trace: batch norm stays as it is, the same is drawn again."""
        before = [buffer.clone() for buffer in self._network.buffers()]
        cuda = [self._device] if self._device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(cuda):
            yield
        for buffer, was in zip(self._network.buffers(), before, strict=True):
            buffer.copy_(was)

    def weigh(self, losses: Mapping[str, Tensor], *, epoch: int) -> Tensor:
        """Balance a whole step: what ``backward`` multiplies each task's loss of a part by, [T]."""
        values = stacked(losses, list(losses)).detach().requires_grad_()
        total = self._balancing(dict(zip(losses, values.unbind(), strict=True)), self._step(epoch))
        torch.autograd.backward(self._scaler.scale(total))
        assert values.grad is not None  # the total is made of them
        return values.grad

    def backward(
        self,
        losses: Mapping[str, Tensor],
        *,
        epoch: int,
        share: float = 1.0,
        weighed: Tensor | None = None,
    ) -> None:
        """Add the gradients of a step's losses, or of a part of its images.

        Args:
            losses: Of every task, by name.
            epoch: From 1.
            share: Of the step.
            weighed: What ``weigh`` gave for the whole step; without it, the balancing is asked.
        """
        if weighed is not None:
            total = (weighed * stacked(losses, list(losses))).sum()
            torch.autograd.backward(total * share)
        else:
            total = self._balancing(losses, self._step(epoch))
            self._scaler.scale(total * share).backward()

    def _step(self, epoch: int) -> Step:
        scale = self._scaler.get_scale() if self._scaler.is_enabled() else 1.0
        return Step(self._network, self.taken, epoch, self._seed, scale, self._processes)

    def update(self) -> None:
        """Step along the gradients that were added, and forget them."""
        if SharedGradient(self._recipe.shared_gradient) is SharedGradient.MEAN:
            self._network.average_gradients()
        weights = list(self._network.parameters())
        if self._recipe.clip is not None:
            self._scaler.unscale_(self._optimizer)
            length = nn.utils.clip_grad_norm_(weights, self._recipe.clip)
        else:
            length = nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
        # in float16 gradients that are too long are foreseen: the scaler takes no step then
        self._length = torch.zeros(()) if self._scaler.is_enabled() else length.detach()
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate * self._rates(self.taken)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()
        self._kept.update_parameters(self._network)
        self.taken += 1

    def spoiled_tasks(self) -> list[str]:
        """The tasks whose weights the last step's gradient has spoiled, if it was not finite.

        To be asked where the device is waited for anyway, so that no step waits for it alone.
        """
        if self._length.isfinite():
            return []
        tree = self._network.tree
        return [
            task
            for task, head in zip(tree.tasks, self._network.heads, strict=True)
            if not all(weight.isfinite().all() for weight in head.parameters())
        ] or list(tree.tasks)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "network": self._network.state_dict(),
            "kept": self._kept.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "balancing": self._balancing.state_dict(),
            "taken": self.taken,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._network.load_state_dict(state["network"])
        self._kept.load_state_dict(state["kept"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self._balancing.load_state_dict(state["balancing"])
        self.taken = state["taken"]
