"""Training throughput: the house's step with its best settings against a plain eager float32 loop.

The same tree, weights, images and losses; a step is forward, losses, backward and AdamW. The plain
loop is what one would write first: contiguous images, float32, PyTorch's default AdamW, no average
of the weights. Ours does more (channels last, fused AdamW, mean gradients of shared stages,
averaged weights, losses looked at for NaN), in float32 and in bfloat16. One CPU thread, or the GPU
where there is one; steps take turns, and times compared are minima.

Beside it, sibling copies of a stage that read the same features: run one after another as the house
does, as one grouped convolution, and as one batched call by ``torch.func.vmap``. On a CPU neither
wins. On a GPU both do (an H200: 0.43 and 0.79 of the time), but a grouped stage holds its copies'
weights in one array, from which neither single branches could be inherited nor part of a tree be
exported as they are now; so neither is built in.
"""

from collections.abc import Callable
from copy import deepcopy

import torch
import typer
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from benchmarks.measure import in_turn, peak_mib, say
from benchmarks.network import networks
from branchsearch.backbones.resnet import ResidualBlock, ResidualStage
from branchsearch.model.branched import BranchedNetwork
from branchsearch.train.balancing.equal_start import equal_start
from branchsearch.train.descent import Descent
from branchsearch.train.losses import squared_error
from branchsearch.train.processes import ALONE
from branchsearch.train.recipe import Recipe

_BATCH, _SIZE, _SIBLINGS = 64, 32, 4


def plain(network: nn.Module, images: Tensor, targets: dict[str, Tensor]) -> Callable[[], None]:
    """A step of the loop that one would write first."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network.train()

    def step() -> None:
        predicted = network(images)
        total = sum(squared_error(predicted[task], target) for task, target in targets.items())
        optimizer.zero_grad()
        torch.autograd.backward(total)
        optimizer.step()
        _wait(images)

    return step


def ours(
    network: BranchedNetwork, images: Tensor, targets: dict[str, Tensor], precision: str
) -> Callable[[], None]:
    """A step of ``branchsearch.train``."""
    recipe = Recipe(
        epochs=1,
        batch_size=_BATCH,
        learning_rate=1e-3,
        weight_decay=0.01,
        warm_up=0.0,
        averaging=0.98,
        schedule="constant",
        precision=precision,
    )
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lacks it
    network.train()
    descent = Descent(
        network,
        equal_start(dict.fromkeys(targets, 1.0)).to(images.device),
        recipe=recipe,
        steps=10**6,
        seed=0,
        device=images.device,
        processes=ALONE,
    )
    images = images.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        predicted = descent.predict(images)
        losses = {task: squared_error(predicted[task], target) for task, target in targets.items()}
        assert torch.stack(list(losses.values())).isfinite().all()
        descent.backward(losses, epoch=1)
        descent.update()
        _wait(images)

    return step


class Grouped(nn.Module):
    """Sibling stages of one block as one stage; what it gives has the siblings' channels in a row.

    Args:
        siblings: Of the same shape; their weights are copied.
    """

    def __init__(self, siblings: list[ResidualStage]) -> None:
        super().__init__()
        first = siblings[0].body[0]
        assert isinstance(first, ResidualBlock)
        count = len(siblings)
        self.block = ResidualBlock(first.in_channels, count * first.channels, first.stride)
        self.block.conv2 = nn.Conv2d(
            count * first.channels,
            count * first.channels,
            3,
            padding=1,
            bias=False,
            groups=count,
        )
        states = [sibling.body[0].state_dict() for sibling in siblings]
        self.block.load_state_dict(
            {
                name: torch.cat([state[name] for state in states]) if value.ndim else value
                for name, value in states[0].items()
            }
        )

    def forward(self, features: Tensor) -> Tensor:
        """From the common features to all siblings' features."""
        given: Tensor = self.block(features)
        return given


def batched(siblings: list[ResidualStage]) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """Sibling stages by vmap: the weights, and the call, which gives [siblings, batch, ...]."""
    for norm in (m for s in siblings for m in s.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean = norm.running_var = norm.num_batches_tracked = None
        norm.track_running_stats = False  # vmap cannot write them
    for relu in (m for s in siblings for m in s.modules() if isinstance(m, nn.ReLU)):
        relu.inplace = False
    weights, buffers = stack_module_state(siblings)
    bare = deepcopy(siblings[0]).to("meta")

    def one(weight: dict[str, Tensor], buffer: dict[str, Tensor], features: Tensor) -> Tensor:
        given: Tensor = functional_call(bare, (weight, buffer), (features,))
        return given

    kept = nn.ParameterList(weights.values())
    return kept, lambda features: vmap(one, in_dims=(0, 0, None))(weights, buffers, features)


def siblings_in_three_ways(device: torch.device) -> list[Callable[[], None]]:
    """Forward and backward of the same siblings: one after another, grouped, batched."""
    first = [ResidualStage(24, 48, 1, 1) for _ in range(_SIBLINGS)]
    stages = [stage.to(device).train() for stage in first]
    features = torch.randn(_BATCH, 24, _SIZE // 4, _SIZE // 4, device=device)
    grouped = Grouped(stages).to(device).train()
    weights, call = batched(deepcopy(stages))
    in_a_row = torch.stack([stage(features) for stage in stages])
    at_once = grouped(features).unflatten(1, (_SIBLINGS, -1)).transpose(0, 1)
    close = 1e-4 if device.type == "cpu" else 1e-2  # a GPU's convolutions round to TensorFloat-32
    torch.testing.assert_close(at_once, in_a_row, rtol=10 * close, atol=close)
    torch.testing.assert_close(call(features), in_a_row, rtol=10 * close, atol=close)

    def stepping(modules: list[nn.Module], run: Callable[[], list[Tensor]]) -> Callable[[], None]:
        def step() -> None:
            torch.autograd.backward([given.square().mean() for given in run()])
            for module in modules:
                module.zero_grad()
            _wait(features)

        return step

    return [
        stepping([*stages], lambda: [stage(features) for stage in stages]),
        stepping([grouped], lambda: [grouped(features)]),
        stepping([weights], lambda: [call(features)]),
    ]


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize()


def main(*, steps: int = 60, quick: bool = False) -> None:
    """Measure; ``--quick`` only shows that it runs."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network, by_hand = networks(device)
    images = torch.randn(_BATCH, 3, _SIZE, _SIZE, device=device)
    targets = {task: torch.randn_like(output) for task, output in network(images).items()}
    runs = [
        plain(by_hand, images, targets),
        ours(deepcopy(network), images, targets, "float32"),
        ours(deepcopy(network), images, targets, "bfloat16"),
    ]
    rounds = 2 if quick else steps
    in_turn(runs, 1 if quick else 5)  # the first steps are slow
    reference, float32, bfloat16 = (min(each) for each in in_turn(runs, rounds))
    best = min(float32, bfloat16)
    siblings = siblings_in_three_ways(device)
    in_turn(siblings, 1 if quick else 5)
    in_a_row, grouped, by_vmap = (min(each) for each in in_turn(siblings, rounds))
    memory, reference_memory = peak_mib(runs[2], device), peak_mib(runs[0], device)
    say(
        [
            f"{network.tree}, batch {_BATCH} of {_SIZE}x{_SIZE}, training steps on {device.type}",
            f"plain float32 loop   {_BATCH / reference:8.0f} images/s",
            f"ours, float32        {_BATCH / float32:8.0f} images/s {reference / float32:6.2f}x",
            f"ours, bfloat16       {_BATCH / bfloat16:8.0f} images/s {reference / bfloat16:6.2f}x",
            f"{_SIBLINGS} sibling copies, forward and backward, against one after another "
            f"({1000 * in_a_row:.2f} ms): grouped {grouped / in_a_row:.2f} of the time, "
            f"batched {by_vmap / in_a_row:.2f}",
            f"minima of {rounds} steps",
        ],
        {
            "name": "training",
            "ratio": best / reference,
            "seconds": best,
            "reference_seconds": reference,
            "float32_ratio": float32 / reference,
            "bfloat16_ratio": bfloat16 / reference,
            "grouped_ratio": grouped / in_a_row,
            "batched_ratio": by_vmap / in_a_row,
            "peak_mib": memory,
            "reference_peak_mib": reference_memory,
            "device": device.type,
        },
    )


if __name__ == "__main__":
    typer.run(main)
