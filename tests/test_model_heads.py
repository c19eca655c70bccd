import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from branchsearch.backbones.resnet import resnet
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.cost import cost_table, network_cost
from branchsearch.model.heads import ASPPHead, DenseHead, FPNHead, LinearHead
from branchsearch.tree import Tree
from tests.generators import trees

SIZE = (16, 24)


def mixed(tree: Tree, *, width: int = 3) -> tuple[list[nn.Module], dict[str, nn.Module]]:
    """Thin stages, and heads of every sort in turn."""
    channels = [4 + 2 * stage for stage in range(len(tree.branches))]
    heads = [
        FPNHead(channels, 2, width=width),
        LinearHead(channels[-1], 5),
        ASPPHead(channels[-1], 1, width=width, rates=(1, 2)),
        DenseHead(channels[-1], 3),
    ]
    taken = {task: heads[number % len(heads)] for number, task in enumerate(tree.tasks)}
    return list(resnet(channels=channels).modules), taken


@given(trees(max_tasks=5, max_stages=3))
def test_heads_of_every_sort_live_in_one_network(tree: Tree):
    predicted = BranchedNetwork(tree, *mixed(tree))(torch.rand(2, 3, *SIZE))
    shapes = [(2, 2, *SIZE), (2, 5), (2, 1, *SIZE), (2, 3, *SIZE)]
    assert {task: tuple(prediction.shape) for task, prediction in predicted.items()} == {
        task: shapes[number % len(shapes)] for number, task in enumerate(tree.tasks)
    }


@given(trees(max_tasks=5, max_stages=3))
@settings(max_examples=25)
def test_the_table_adds_up_to_the_network_exactly_whatever_the_heads(tree: Tree):
    stages, heads = mixed(tree)
    table = cost_table(stages, heads, SIZE)
    assert table.of(tree) == network_cost(BranchedNetwork(tree, stages, heads), SIZE)


class Path(nn.Module):
    """Gives back the mean of each stage's features."""

    reads_path = True

    def forward(self, features: list[Tensor], size: torch.Size) -> Tensor:  # noqa: ARG002
        return torch.stack([maps.mean(dim=(1, 2, 3)) for maps in features], dim=1)


@given(trees(max_tasks=4, max_stages=3))
def test_a_head_reads_its_own_tasks_way_through_the_tree(tree: Tree):
    stages = [nn.Conv2d(3, 3, 1) for _ in tree.branches]
    network = BranchedNetwork(tree, stages, {task: Path() for task in tree.tasks})
    for weight in network.parameters():
        nn.init.normal_(weight)  # no two copies alike
    images = torch.rand(2, 3, 4, 4)
    predicted = network(images)
    for column, task in enumerate(tree.tasks):
        features, means = images, []
        for stage, row in zip(network.stages, tree.branches, strict=True):
            features = stage.copies[row[column]](features)
            means.append(features.mean(dim=(1, 2, 3)))
        torch.testing.assert_close(predicted[task], torch.stack(means, dim=1))


def test_a_plain_head_keeps_every_bit():
    head, features = DenseHead(5, 2), torch.rand(2, 5, 4, 6)
    inner = nn.functional.batch_norm(
        nn.functional.conv2d(features, head.hidden.weight, padding=1),
        None,
        None,
        head.norm.weight,
        head.norm.bias,
        training=True,
    )
    logits = nn.functional.conv2d(inner.relu(), head.predict.weight, head.predict.bias)
    by_hand = nn.functional.interpolate(logits, size=SIZE, mode="bilinear", align_corners=False)
    assert torch.equal(head(features, torch.Size(SIZE)), by_hand)


def test_an_image_is_predicted_from_the_mean_of_its_features():
    head, features = LinearHead(2, 3), torch.rand(4, 2, 5, 5)
    by_hand = features.flatten(2).mean(dim=2) @ head.predict.weight.T + head.predict.bias
    torch.testing.assert_close(head(features, torch.Size(SIZE)), by_hand)


def test_aspp_sees_as_far_as_its_rates():
    head = ASPPHead(1, 1, width=2, rates=(1, 4)).eval()
    with torch.no_grad():
        for weight in head.parameters():
            weight.abs_()  # no rectifier hides what is seen
        head.mean[0].weight.zero_()  # the image's mean sees everything
    features = torch.zeros(1, 1, 13, 13, requires_grad=True)
    nn.init.uniform_(features)
    head(features, torch.Size((13, 13)))[0, 0, 6, 6].backward()
    seen = features.grad[0, 0].nonzero().tolist()
    taps = {
        (6 + rate * row, 6 + rate * column)
        for rate in (1, 4)
        for row in (-1, 0, 1)
        for column in (-1, 0, 1)
    }
    assert {tuple(place) for place in seen} == taps


def test_aspp_trains_on_one_image():
    head = ASPPHead(3, 2, width=4, rates=(1,))
    head(torch.rand(1, 3, 4, 4), torch.Size(SIZE)).sum().backward()
    assert all(weight.grad.isfinite().all() for weight in head.parameters())


def test_fpn_needs_nothing_of_strides():
    head = FPNHead([2, 3, 4], 1, width=4)
    sizes = [(9, 7), (9, 7), (3, 2)]
    features = [torch.rand(2, c, *size) for c, size in zip((2, 3, 4), sizes, strict=True)]
    assert head(features, torch.Size((18, 14))).shape == (2, 1, 18, 14)


def test_fpn_of_one_stage_is_a_head_on_it():
    head = FPNHead([2], 1, width=4)
    assert head([torch.rand(2, 2, 3, 3)], torch.Size((6, 6))).shape == (2, 1, 6, 6)


@pytest.mark.parametrize(
    "build",
    [
        lambda: ASPPHead(2, 1, width=0),
        lambda: ASPPHead(2, 1, rates=(1, 0)),
        lambda: FPNHead([2], 1, width=0),
    ],
)
def test_arguments_out_of_range_are_refused(build):  # noqa: ANN001
    with pytest.raises(ValueError, match="at least 1, got"):
        build()
