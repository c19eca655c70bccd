"""The steps of a training: forward in the precision asked for, backward, and one update."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from branchsearch.model.branched import BranchedNetwork
from branchsearch.train.averaging import averaged
from branchsearch.train.balancing.balancing import Balancing, Step
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

    def backward(self, losses: Mapping[str, Tensor], *, epoch: int, share: float = 1.0) -> None:
        """Add the gradients of a step's losses, or of a part of its images.

        Args:
            losses: Of every task, by name.
            epoch: From 1.
            share: Of the step.
        """
        scale = self._scaler.get_scale() if self._scaler.is_enabled() else 1.0
        step = Step(self._network, self.taken, epoch, self._seed, scale, self._processes)
        total = self._balancing(losses, step)
        self._scaler.scale(total * share).backward()

    def update(self) -> None:
        """Step along the gradients that were added, and forget them."""
        if SharedGradient(self._recipe.shared_gradient) is SharedGradient.MEAN:
            self._network.average_gradients()
        if self._recipe.clip is not None:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._network.parameters(), self._recipe.clip)
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate * self._rates(self.taken)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()
        self._kept.update_parameters(self._network)
        self.taken += 1

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
