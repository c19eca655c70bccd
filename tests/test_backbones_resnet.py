import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchsearch.backbones.resnet import resnet


@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 2)), min_size=1, max_size=4),
    st.integers(1, 2),
)
@settings(max_examples=25)
def test_declared_channels_and_strides_are_true(shape: list[tuple[int, int]], blocks: int):
    channels, strides = map(list, zip(*shape, strict=True))
    features = torch.rand(1, 3, 32, 32)
    for stage in resnet(channels=channels, strides=strides, blocks=blocks).stages:
        features = stage.module(features)
        assert features.shape == (1, stage.channels, 32 // stage.stride, 32 // stage.stride)


def test_without_strides_the_first_stage_keeps_the_resolution():
    assert [stage.stride for stage in resnet(channels=[4, 4, 4]).stages] == [1, 2, 4]


@pytest.mark.parametrize("wrong", [{"channels": []}, {"channels": [0]}, {"blocks": 0}])
def test_numbers_below_one_are_refused(wrong: dict[str, object]):
    with pytest.raises(ValueError, match="at least 1"):
        resnet(**{"channels": [4], **wrong})  # type: ignore[arg-type]


def test_every_stage_has_a_stride():
    with pytest.raises(ValueError, match="2 stages need as many strides"):
        resnet(channels=[4, 4], strides=[1])


@pytest.mark.parametrize(("channels", "size"), [((12,), 48), ((12, 24), 128)])
def test_training_survives_where_torch_crashes(channels: tuple[int, ...], size: int):
    """In a process of its own: with the stride in the shortcut's convolution it died."""
    script = f"""
import torch
from torch import nn
from branchsearch.backbones.resnet import resnet
torch.set_num_threads(1)
network = nn.Sequential(*resnet(channels={channels}, strides={(2,) * len(channels)}).modules)
network.to(memory_format=torch.channels_last)
for _ in range(3):
    images = torch.randn(16, 3, {size}, {size}).to(memory_format=torch.channels_last)
    network(images).sum().backward()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
