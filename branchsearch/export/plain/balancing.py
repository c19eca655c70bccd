"""The balancings of ``branchsearch.train.balancing``: from the tasks' losses [T] to one number.

A loss of exactly 0 means that no image of the batch has a label of that task. What ``forward``
takes beside the losses, and what constructors take beside a balancing's own arguments, goes by
name: ``branchsearch.export.training_source`` hands it over.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn


class Fixed(nn.Module):
    """The weighted sum of the losses.

    Args:
        weights: One positive factor per task.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, losses: Tensor) -> Tensor:
        """From losses [T] to one."""
        return (self.weights * losses).sum()


class EqualStart(nn.Module):
    """Every loss divided by its first one, so that no unit decides; then weighed.

    In the first epoch no loss may be more than four times its first one, which is raised: a batch
    with hardly a label may give one that is far too small.

    Args:
        weights: One positive factor per task.
    """

    weights: Tensor
    first: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))
        self.register_buffer("first", torch.zeros(len(weights)))  # 0: not seen yet

    def forward(self, losses: Tensor, *, epoch: int) -> Tensor:
        """From losses [T] of a step in an epoch, from 1, to one."""
        now = losses.detach()
        first = torch.where(self.first == 0, now, self.first)
        self.first.copy_(first.maximum(now / 4) if epoch == 1 else first)
        by = torch.where(self.first == 0, 1, self.first)
        return (self.weights * losses / by).sum()


class Uncertainty(nn.Module):
    """A learnt log variance s per task: the sum of (weight · loss · exp(-s) + s) / 2.

    Source: A. Kendall et al., CVPR 2018, section 3.2.

    Args:
        weights: One positive factor per task.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))
        self.log_variances = nn.Parameter(torch.zeros(len(weights)))

    def forward(self, losses: Tensor) -> Tensor:
        """From losses [T] to one."""
        terms = self.weights * losses * (-self.log_variances).exp() + self.log_variances
        return (terms * (losses.detach() != 0)).sum() / 2


class Geometric(nn.Module):
    """The geometric mean of the losses of tasks with labels; weights are exponents.

    Source: S. Chennupati et al., CVPR Workshops 2019, section 3.2.

    Args:
        weights: One positive exponent per task.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, losses: Tensor) -> Tensor:
        """From losses [T] to one."""
        there = losses.detach() != 0
        exponents = self.weights * there
        # the logarithm of 1 where nothing is: that of 0 has no finite gradient to be masked
        logarithms = torch.where(there, losses, 1).log()
        mean = (exponents * logarithms).sum() / exponents.sum().clamp(min=1e-12)
        return mean.exp() * there.any()


class DynamicWeightAverage(nn.Module):
    """Weights by softmax(loss of the last epoch / loss of the one before / temperature), times T.

    Source: S. Liu et al., CVPR 2019, section 3.2.

    Args:
        weights: One positive factor per task, on top.
        temperature: The higher, the more alike.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float], *, temperature: float = 2.0) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))
        self.temperature, self.epoch = temperature, 1
        self.sums, self.counts = torch.zeros(len(weights)), torch.zeros(len(weights))
        self.last, self.before = torch.zeros(len(weights)), torch.zeros(len(weights))

    def forward(self, losses: Tensor, *, epoch: int) -> Tensor:
        """From losses [T] of a step in an epoch, from 1, to one."""
        if epoch != self.epoch:
            self.before, self.last = self.last, self.sums / self.counts.clamp(min=1)
            self.sums, self.counts = torch.zeros_like(self.sums), torch.zeros_like(self.counts)
            self.epoch = epoch
        now = losses.detach().cpu()
        self.sums += now
        self.counts += now != 0
        both = (self.last > 0) & (self.before > 0)
        slowness = torch.where(both, self.last / self.before.where(both, 1), 1)
        shares = torch.softmax(slowness / self.temperature, dim=0).to(losses)
        return (len(losses) * shares * self.weights * losses).sum()


class RandomWeights(nn.Module):
    """New chance weights at every step: the softmax of normal draws, times the number of tasks.

    Source: B. Lin et al., TMLR 2022, section 3.

    Args:
        weights: One positive factor per task, on top.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, losses: Tensor, *, seed: int, step: int) -> Tensor:
        """From losses [T] of a step, from 0, of a training with that seed to one."""
        draw = np.random.default_rng([seed, step]).standard_normal(len(losses))
        shares = torch.softmax(torch.from_numpy(draw).to(losses), dim=0)
        return (len(losses) * shares * self.weights * losses).sum()


class GradNorm(nn.Module):
    """Learns factors, of mean 1, that make the tasks' gradient norms alike.

    Source: Z. Chen et al., ICML 2018, section 3.

    Args:
        weights: One positive factor per task, on top.
        compared: One branch per task, by name: the one on whose weights its gradient is measured.
        alpha: How much more a task may pull that has come less far.
        rate: How far the factors move in a step, relative.
    """

    weights: Tensor
    factors: Tensor
    first: Tensor

    def __init__(
        self,
        weights: Sequence[float],
        compared: Sequence[str],
        *,
        alpha: float = 1.5,
        rate: float = 0.025,
    ) -> None:
        super().__init__()
        self.compared, self.alpha, self.rate = compared, alpha, rate
        self.register_buffer("weights", torch.tensor(weights))
        self.register_buffer("factors", torch.ones(len(weights)))
        self.register_buffer("first", torch.zeros(len(weights)))  # 0: not seen yet

    def forward(self, losses: Tensor, *, network: nn.Module) -> Tensor:
        """From losses [T] that the network gave to one."""
        values = self.weights * losses
        total = (self.factors.clone() * values).sum()
        norms = []
        for value, name in zip(values, self.compared, strict=True):
            weights = list(network.get_submodule(name).parameters())
            each = torch.autograd.grad(value, weights, retain_graph=True, materialize_grads=True)
            norms.append(torch.cat([gradient.flatten() for gradient in each]).norm())
        self.adapt(values.detach(), torch.stack(norms))
        return total

    def adapt(self, values: Tensor, norms: Tensor) -> None:
        """Move the factors a step, after losses [T] and the lengths [T] of their gradients."""
        self.first.copy_(torch.where(self.first == 0, values, self.first))
        there = (values != 0) & norms.isfinite() & (norms > 0)
        if there.sum() < 2:
            return
        pulls, left = self.factors * norms, values / self.first.where(there, 1)
        mean = pulls[there].mean()
        wanted = mean * (left / left[there].mean()) ** self.alpha
        moved = self.factors - self.rate * (pulls - wanted).sign() * norms / mean
        # no task is switched off: its gradient must stay to be seen
        changed = torch.where(there, moved.clamp(min=1e-3), self.factors)
        self.factors.copy_(len(values) * changed / changed.sum())


class Scalarized(nn.Module):
    """A scalarizer of torchjd (https://torchjd.org): a function of the losses alone.

    Args:
        weights: One positive factor per task.
        scalarizer: Of torchjd.
        whole: Whether it has a scale for every task, and takes all losses.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float], *, scalarizer: nn.Module, whole: bool) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))
        self.scalarizer, self.whole = scalarizer, whole

    def forward(self, losses: Tensor) -> Tensor:
        """From losses [T] to one."""
        values = self.weights * losses
        there = losses.detach() != 0
        if not there.any():
            return values.sum()
        if not self.whole:
            some: Tensor = self.scalarizer(values[there])
            return some
        # where nothing is known of a task, what its scale stays at: e^s L - s is lowest there
        (scale,) = self.scalarizer.parameters()
        rests = (-scale.detach()).exp()
        every: Tensor = self.scalarizer(torch.where(there, values, rests))
        return every


class Aggregated(nn.Module):
    """An aggregator of torchjd (https://torchjd.org) over the gradients of shared weights.

    Weights that one task uses alone follow that task's gradient.

    Args:
        weights: One positive factor per task.
        users: How many tasks use each branch, by name.
        aggregator: Of torchjd.
        sums: Whether what it gives is as long as a sum of the gradients, not as their mean.
    """

    weights: Tensor

    def __init__(
        self,
        weights: Sequence[float],
        users: Mapping[str, int],
        *,
        aggregator: nn.Module,
        sums: bool,
    ) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))
        self.users, self.aggregator, self.sums = users, aggregator, sums

    def forward(self, losses: Tensor, *, network: nn.Module, seed: int, step: int) -> Tensor:
        """From losses [T] that the network gave to a number with the aggregated gradient."""
        values = self.weights * losses
        names = [name for name, users in self.users.items() if users > 1]
        shared = [w for name in names for w in network.get_submodule(name).parameters()]
        among = {id(weight) for weight in shared}
        every = [*shared, *(w for w in network.parameters() if id(w) not in among)]
        every = [weight for weight in every if weight.requires_grad]
        rows = torch.stack(
            [
                torch.cat(
                    [
                        gradient.flatten()
                        for gradient in torch.autograd.grad(
                            value, every, retain_graph=True, materialize_grads=True
                        )
                    ]
                )
                for value in values
            ]
        )
        split = sum(weight.numel() for weight in every if id(weight) in among)
        together = self.aggregate(rows[:, :split], seed=seed, step=step)
        direction = torch.cat([together, rows[:, split:].sum(dim=0)])
        pieces = torch.split(direction, [weight.numel() for weight in every])
        towards = [(w * piece.view_as(w)).sum() for w, piece in zip(every, pieces, strict=True)]
        total = torch.stack(towards).sum()  # a number with that gradient
        return total - total.detach() + values.detach().sum()

    @torch.no_grad()
    def aggregate(self, rows: Tensor, *, seed: int, step: int) -> Tensor:
        """From the tasks' gradients [T, W] of the shared weights to one direction [W]."""
        used = rows[(rows != 0).any(dim=1)]
        if len(used) < 2 or not rows.isfinite().all():
            return rows.sum(dim=0)
        with torch.random.fork_rng():
            (drawn,) = np.random.SeedSequence([seed, step]).generate_state(1)
            torch.manual_seed(int(drawn))
            direction: Tensor = self.aggregator(used)
        return direction if self.sums else len(used) * direction


class Floors(nn.Module):
    """Losses of 0 for tasks whose mean loss of the epoch before is at their floor: solved.

    Args:
        floors: One per task; -infinity where it is always trained on.
    """

    floors: Tensor

    def __init__(self, floors: Sequence[float]) -> None:
        super().__init__()
        self.floors, self.epoch = torch.tensor(floors), 1
        self.sums, self.counts = torch.zeros(len(floors)), torch.zeros(len(floors))
        self.solved = torch.zeros(len(floors), dtype=torch.bool)

    def forward(self, losses: Tensor, *, epoch: int) -> Tensor:
        """From losses [T] of a step in an epoch, from 1, to those that are trained on."""
        if epoch != self.epoch:
            means = self.sums / self.counts.clamp(min=1)
            self.solved = (means <= self.floors) & (self.counts > 0)
            self.sums, self.counts = torch.zeros_like(means), torch.zeros_like(means)
            self.epoch = epoch
        now = losses.detach().cpu()
        self.sums += now
        self.counts += now != 0
        # times 0 and not left out: every weight still gets a gradient
        return losses * torch.where(self.solved, 0.0, 1.0).to(losses)
