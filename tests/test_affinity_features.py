import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from branchsearch.affinity.features import (
    NotComparable,
    column_chunks,
    feature_bytes,
    spooled_bytes,
    stage_features,
)
from branchsearch.backbones.resnet import resnet
from branchsearch.model.branched import BranchedNetwork
from branchsearch.tree import Tree
from tests.networks import small

CPU = torch.device("cpu")
IMAGES = torch.randn(25, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def batches(images: Tensor = IMAGES, size: int = 10) -> Iterator[Tensor]:
    return iter(images.split(size))


def copies(network: BranchedNetwork) -> list[nn.Module]:
    return [stage.copies[0] for stage in network.stages]


def read(**options: Any) -> list[Tensor]:  # noqa: ANN401
    torch.manual_seed(0)
    network = small(Tree.parse("a > a > a"))
    return stage_features(network, copies(network), batches(), images=25, **options)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class Tokens(nn.Module):
    """A stage of a transformer: from [batch, 3, H, W] or tokens, to tokens and a by-product."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.first, self.layer = first, nn.Linear(3 if first else 4, 4)

    def forward(self, features: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        if isinstance(features, tuple):
            features = features[0]
        tokens = features.flatten(2).mT if self.first else features
        return self.layer(tokens), tokens.mean()


def test_features_are_those_of_every_stage_for_every_image():
    torch.manual_seed(0)
    network = small(Tree.parse("a > a > a"))
    found = stage_features(network, copies(network), batches(), images=25)
    assert [tuple(stage.shape) for stage in found] == [(25, 256), (25, 96), (25, 32)]
    network.eval()
    first, second, _ = network.stages
    with torch.no_grad():
        expected = second(first([IMAGES[-3:]]))[0].flatten(1)
    torch.testing.assert_close(found[1][-3:], expected)


def test_the_network_stays_as_it_was():
    network = small(Tree.parse("a > a"))
    network.train()
    network.heads[0].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    stage_features(network, copies(network), batches(), images=25)
    assert network.training
    assert not network.heads[0].training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(module._forward_hooks for module in network.modules())


def test_tokens_in_a_tuple_are_read():
    network = nn.Sequential(Tokens(first=True), Tokens(first=False))
    found = stage_features(network, list(network), batches(), images=25)
    assert [tuple(stage.shape) for stage in found] == [(25, 64 * 4), (25, 64 * 4)]
    with torch.no_grad():
        torch.testing.assert_close(found[1], network(IMAGES)[0].flatten(1))


def test_a_later_stage_that_works_in_place_changes_nothing():
    stages = [nn.Conv2d(3, 2, 1), nn.ReLU(inplace=True), nn.Flatten()]
    found = stage_features(nn.Sequential(*stages), stages[:1], batches(), images=25)
    assert (found[0] < 0).any()


@pytest.mark.parametrize("held", [0, 25 * 256 * 4])
def test_what_does_not_fit_in_memory_is_the_same_from_a_file(tmp_path: Path, held: int):
    whole = read()
    before = open_files()
    spooled = read(in_memory=held, folder=tmp_path)
    for one, other in zip(whole, spooled, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(torch.cat(list(column_chunks(other, CPU)), dim=1), one)
    assert list(tmp_path.iterdir()) == []  # it has no name while it is there
    del spooled, other
    assert open_files() == before


def test_half_precision_is_kept_as_it_is_and_bfloat16_widened(tmp_path: Path):
    for dtype, kept in ((torch.float16, torch.float16), (torch.bfloat16, torch.float32)):
        network = nn.Sequential(nn.Linear(4, 6)).to(dtype)
        images = torch.randn(5, 4).to(dtype)
        (found,) = stage_features(
            network, [network[0]], [images], images=5, in_memory=0, folder=tmp_path
        )
        assert found.dtype == kept
        assert torch.equal(found, network(images).to(kept))


def test_no_file_is_left_after_an_error(tmp_path: Path):
    def broken() -> Iterator[Tensor]:
        yield IMAGES[:10]
        raise RuntimeError("no more images")

    network = small(Tree.parse("a > a"))
    before = open_files()
    with pytest.raises(RuntimeError, match="no more images"):
        stage_features(network, copies(network), broken(), images=25, in_memory=0, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert open_files() == before
    assert not any(module._forward_hooks for module in network.modules())


def test_chunks_hold_every_column_once():
    wide = torch.arange(3 * 20_000).reshape(3, 20_000).float()
    chunks = list(column_chunks(wide, CPU))
    assert len(chunks) == 3
    assert torch.equal(torch.cat(chunks, dim=1), wide)


def test_the_size_is_known_without_running():
    modules = resnet(channels=[4, 6, 8]).modules
    sizes = feature_bytes(modules, (8, 8), images=25)
    assert sizes == [25 * 4 * features for features in (256, 96, 32)]
    assert spooled_bytes(sizes) == 0
    assert spooled_bytes(sizes, in_memory=sizes[0]) == sizes[1] + sizes[2]
    assert spooled_bytes(sizes, in_memory=sizes[0] - 1) == sizes[0]  # the smaller ones fit


def refused(network: nn.Module, images: Tensor, count: int | None = None) -> str:
    with pytest.raises(NotComparable) as raised:
        stage_features(
            network, list(network.children()), batches(images), images=count or len(images)
        )
    return str(raised.value)


def test_what_cannot_be_compared_is_named():
    line = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))
    rows = torch.randn(12, 4)
    assert "at least 3 probe images, got 2" in refused(line, rows[:2])
    assert "gave features of 12 images, but 13 were shown" in refused(line, rows, 13)
    assert "gave features of 12 images, but 11 were shown" in refused(line, rows, 11)
    assert "stage 0 gives no batch of features" in refused(nn.Sequential(nn.Flatten(0)), rows)


@pytest.mark.parametrize("in_memory", [0, 10**6])
@pytest.mark.parametrize("other", [torch.ones(2, 1), torch.ones(2, 7), torch.ones(2, 6).double()])
def test_batches_with_other_features_are_refused(other: Tensor, in_memory: int):
    network = nn.Sequential(nn.Identity())
    given = [torch.randn(2, 6), other]
    told = rf"stage 0 gave 6 features of torch.float32 for an image, and then {other.shape[1]} of"
    with pytest.raises(NotComparable, match=told):
        stage_features(network, [network[0]], given, images=4, in_memory=in_memory)


def test_a_stage_that_runs_twice_is_refused():
    layer = nn.Linear(4, 4)
    with pytest.raises(
        NotComparable, match="stage 0 gave features of 24 images, but 12 were shown"
    ):
        stage_features(nn.Sequential(layer, layer), [layer], [torch.randn(12, 4)], images=12)
