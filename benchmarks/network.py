"""A branched network against the same tree written by hand: forward and backward.

Both hold the same weights and take turns step by step on one CPU thread, or on the GPU where there
is one. The times compared are minima: on a machine that others use, a network against its own copy
came out 1.7 % apart by minima and 5.6 % by medians (standard deviation of 9 runs of 36 steps each).
Such a copy of the one by hand takes its turn here, too, and its ratio says how much of ours is
noise. The ratio of the medians stands beside them.
"""

from collections.abc import Callable
from copy import deepcopy
from statistics import median

import torch
import typer
from torch import Tensor, nn

from benchmarks.measure import in_turn, peak_mib, say
from branchsearch.backbones.resnet import ResidualStage, resnet
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import DenseHead
from branchsearch.tree import Tree

_FLOOR = 1.02
_TREE = Tree.parse("a+b+c+d > a+b,c+d > a,b,c+d")
_CHANNELS, _STRIDES, _OUTPUTS = (12, 24, 48), (2, 2, 1), 3


class ByHand(nn.Module):
    """The tree above as one would write it for itself, in a straight line."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ResidualStage(3, 12, 1, 2)
        self.middle_ab = ResidualStage(12, 24, 1, 2)
        self.middle_cd = ResidualStage(12, 24, 1, 2)
        self.last_a = ResidualStage(24, 48, 1, 1)
        self.last_b = ResidualStage(24, 48, 1, 1)
        self.last_cd = ResidualStage(24, 48, 1, 1)
        self.head_a = DenseHead(48, _OUTPUTS)
        self.head_b = DenseHead(48, _OUTPUTS)
        self.head_c = DenseHead(48, _OUTPUTS)
        self.head_d = DenseHead(48, _OUTPUTS)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Predict every task."""
        size = images.shape[-2:]
        stem = self.stem(images)
        ab = self.middle_ab(stem)
        cd = self.middle_cd(stem)
        last_a = self.last_a(ab)
        last_b = self.last_b(ab)
        last_cd = self.last_cd(cd)
        return {
            "a": self.head_a(last_a, size),
            "b": self.head_b(last_b, size),
            "c": self.head_c(last_cd, size),
            "d": self.head_d(last_cd, size),
        }


def networks(device: torch.device) -> tuple[BranchedNetwork, ByHand]:
    """Ours and the one by hand, with the same weights."""
    heads: dict[str, nn.Module] = {task: DenseHead(_CHANNELS[-1], _OUTPUTS) for task in _TREE.tasks}
    stages = resnet(channels=_CHANNELS, strides=_STRIDES).modules
    ours, by_hand = BranchedNetwork(_TREE, stages, heads), ByHand()
    weights = zip(by_hand.state_dict(), ours.state_dict().values(), strict=True)
    by_hand.load_state_dict(dict(weights))
    return ours.to(device), by_hand.to(device)


def stepping(network: nn.Module, images: Tensor) -> Callable[[], None]:
    """One forward and backward pass, finished when it returns."""

    def step() -> None:
        torch.autograd.backward([output.square().mean() for output in network(images).values()])
        network.zero_grad()  # at the end: a step leaves nothing behind, and its peak is its own
        if images.is_cuda:
            torch.cuda.synchronize()

    return step


def main(*, steps: int = 300, quick: bool = False) -> None:
    """Measure; ``--quick`` only shows that it runs."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ours, by_hand = networks(device)
    images = torch.randn(32, 3, 32, 32, device=device)
    for task, output in by_hand(images).items():
        torch.testing.assert_close(ours(images)[task], output)
    runs = [stepping(network, images) for network in (by_hand, ours, deepcopy(by_hand))]
    in_turn(runs, 2 if quick else 20)  # the first steps are slow
    times = in_turn(runs, 4 if quick else steps)
    reference_seconds, seconds, control_seconds = (min(each) for each in times)
    reference_mib, mib = (peak_mib(run, device) for run in runs[:2])
    ratio, memory_ratio = seconds / reference_seconds, mib / reference_mib
    control, medians = control_seconds / reference_seconds, median(times[1]) / median(times[0])
    say(
        [
            f"{_TREE}, batch 32 of 32x32, forward and backward on {device.type}",
            f"by hand  {1000 * reference_seconds:8.3f} ms {reference_mib:8.2f} MiB",
            f"ours     {1000 * seconds:8.3f} ms {mib:8.2f} MiB",
            f"ratio    {ratio:8.4f}    {memory_ratio:8.4f}      to reach: {_FLOOR}",
            f"minima of {len(times[0])} steps; by hand against its own copy {control:.4f}; "
            f"ratio of the medians {medians:.4f}",
        ],
        {
            "name": "network",
            "ratio": ratio,
            "ratio_of_medians": medians,
            "control_ratio": control,
            "seconds": seconds,
            "reference_seconds": reference_seconds,
            "peak_mib": mib,
            "reference_peak_mib": reference_mib,
            "memory_ratio": memory_ratio,
            "floor": _FLOOR,
            "reached": max(ratio, memory_ratio) <= _FLOOR,
            "device": device.type,
        },
    )


if __name__ == "__main__":
    typer.run(main)
