"""What modules cost, counted without running them on real data.

A multiply-add is one multiplication with its addition, in convolutions and matrix products alone:
half of what ``torch.utils.flop_counter`` calls operations. Normalisation, activations and
upsampling are not counted. Attention is counted as the two matrix products that it is, whatever
kernel runs it.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from branchsearch.model.heads import read
from branchsearch.space.cost import Cost, CostTable


def _attention(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
) -> int:
    operations: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return operations


#: A kernel that torch's counter leaves out: attention on a CPU.
_UNCOUNTED = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}


def cost_table(
    stages: Sequence[nn.Module], heads: Mapping[str, nn.Module], size: tuple[int, int]
) -> CostTable:
    """Count one copy of each stage and each head.

    Args:
        stages: Of a backbone, in order; the first takes 3 channels.
        heads: One per task.
        size: Height and width of the images, in pixels.
    """
    features = torch.empty(1, 3, *size, device="meta")
    costs, path = [], []
    for stage in stages:
        cost, features = count(stage, features)
        costs.append(cost)
        path.append(features)
    image = torch.Size(size)
    # a head costs the same whatever the tree: its way through it passes one copy of every stage
    counted = {task: count(head, read(head, path), image)[0] for task, head in heads.items()}
    return CostTable(tuple(costs), counted)


def network_cost(network: nn.Module, size: tuple[int, int]) -> Cost:
    """Count a whole network on one image of that height and width."""
    return count(network, torch.empty(1, 3, *size, device="meta"))[0]


def count(module: nn.Module, *inputs: object) -> tuple[Cost, Any]:
    """The cost of a module, and what it makes of inputs without content."""
    ghost = deepcopy(module).to("meta").eval()
    with FlopCounterMode(display=False, custom_mapping=_UNCOUNTED) as counter, torch.no_grad():
        after = ghost(*inputs)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Cost(parameters, counter.get_total_flops() // 2), after
