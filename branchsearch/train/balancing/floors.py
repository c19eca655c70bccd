"""Tasks that are solved are not trained on while they stay solved."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from branchsearch.train.balancing.balancing import Balancing, Step, labelled, needs_whole, stacked


def with_floors(balancing: Balancing, floors: Mapping[str, float], tasks: list[str]) -> Balancing:
    """Hand a balancing losses of 0 for tasks whose mean loss of the epoch before is at the floor.

    Args:
        balancing: What weighs the others.
        floors: By task, a training loss; tasks without one are always trained on.
        tasks: All tasks, in the order of the losses.

    Raises:
        ValueError: A floor is of no task.
    """
    if strangers := sorted(floors.keys() - set(tasks)):
        raise ValueError(f"floors of {', '.join(strangers)}, which are no tasks")
    return _Floors(balancing, floors, tasks) if floors else balancing


class _Floors(nn.Module):
    floors: Tensor
    sums: Tensor
    counts: Tensor
    solved: Tensor
    epoch: Tensor
    of_step: Tensor
    parts: Tensor
    step: Tensor

    def __init__(self, balancing: Balancing, floors: Mapping[str, float], tasks: list[str]) -> None:
        super().__init__()
        self.balancing, self._tasks = balancing, tuple(tasks)
        given = torch.tensor([floors.get(task, -torch.inf) for task in tasks])
        self.register_buffer("floors", given, persistent=False)
        self.register_buffer("sums", torch.zeros(len(tasks)))
        self.register_buffer("counts", torch.zeros(len(tasks)))
        self.register_buffer("solved", torch.zeros(len(tasks), dtype=torch.bool))
        self.register_buffer("epoch", torch.tensor(1))
        # losses of the step that is going on, which may come in parts
        self.register_buffer("of_step", torch.zeros(len(tasks)))
        self.register_buffer("parts", torch.tensor(0))
        self.register_buffer("step", torch.tensor(-1))

    def needs_whole(self, step: Step) -> bool:
        """As what it hands losses to: that may go by gradients, and then sees every part."""
        return needs_whole(self.balancing, step)

    def forward(self, losses: Mapping[str, Tensor], step: Step) -> Float[Tensor, ""]:
        if step.number != int(self.step):
            self._end_step()
            self.step.fill_(step.number)
        if step.epoch != int(self.epoch):
            means = self.sums / self.counts.clamp(min=1)
            self.solved.copy_((means <= self.floors) & (self.counts > 0))
            self.sums.zero_()
            self.counts.zero_()
            self.epoch.fill_(step.epoch)
        values = stacked(losses, self._tasks)
        self.of_step += values.detach()
        self.parts += 1
        # times 0 and not left out: every weight still gets a gradient, which processes wait for
        open_ = torch.where(self.solved, 0.0, 1.0).unbind()
        left = {task: losses[task] * one for task, one in zip(self._tasks, open_, strict=True)}
        total: Tensor = self.balancing(left, step)
        return total

    def _end_step(self) -> None:
        mean = self.of_step / self.parts.clamp(min=1)
        self.sums += mean
        self.counts += labelled(mean)
        self.of_step.zero_()
        self.parts.zero_()
