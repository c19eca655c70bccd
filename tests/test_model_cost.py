from hypothesis import given, settings
from torch import Tensor, nn

from branchsearch.backbones.resnet import resnet
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.cost import cost_table, network_cost
from branchsearch.model.heads import DenseHead
from branchsearch.space.cost import Cost
from branchsearch.tree import Tree
from tests.generators import trees


@given(trees(max_tasks=4, max_stages=3))
@settings(max_examples=25)
def test_the_table_adds_up_to_the_network_exactly(tree: Tree):
    channels = [4, 6, 8][: len(tree.branches)]
    stages = resnet(channels=channels).modules
    heads = {task: DenseHead(channels[-1], 1 + n) for n, task in enumerate(tree.tasks)}
    table = cost_table(stages, heads, (16, 24))
    assert table.of(tree) == network_cost(BranchedNetwork(tree, stages, heads), (16, 24))


class Attention(nn.Module):
    """Nothing but attention of every place to every other."""

    def forward(self, images: Tensor) -> Tensor:
        tokens = images.flatten(2).mT.unsqueeze(1)
        return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)


def test_attention_is_two_matrix_products_whatever_kernel_runs_it():
    assert network_cost(Attention(), (4, 6)) == Cost(0, 2 * 24 * 24 * 3)


def test_a_convolution_by_hand():
    table = cost_table(resnet(channels=[4]).modules, {"a": DenseHead(4, 2)}, (8, 8))
    # 3x3 from 3, 3x3 from 4, the 1x1 shortcut from 3, each to 4; batch norm counts as weights only
    weights, norms = 4 * (27 + 36 + 3), 3 * 2 * 4
    assert table.stages[0] == Cost(weights + norms, 64 * weights)
    head_weights = 4 * 36 + 2 * 4
    assert table.heads["a"] == Cost(head_weights + 2 * 4 + 2, 64 * head_weights)
