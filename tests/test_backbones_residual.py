from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from branchsearch import catalog
from branchsearch.backbones.backbone import Backbone
from branchsearch.backbones.operators import declare_missing
from branchsearch.backbones.residual import resnet10, resnet18, resnet50

declare_missing()
from torchvision.models import resnet  # noqa: E402


def features(whole: nn.Module, images: Tensor) -> Tensor:
    """What torchvision's network has before its pooling."""
    found = whole.maxpool(whole.relu(whole.bn1(whole.conv1(images))))
    for layer in (whole.layer1, whole.layer2, whole.layer3, whole.layer4):
        found = layer(found)
    return found


def composed(backbone: Backbone, images: Tensor) -> Tensor:
    for module in backbone.modules:
        images = module.eval()(images)
    return images


def shaken(whole: nn.Module) -> nn.Module:
    """With statistics and weights that no initialisation has."""
    generator = torch.Generator().manual_seed(0)
    for name, value in whole.state_dict().items():
        if "running" in name or "bn" in name:
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return whole.eval()


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_files_of_torchvision_load_and_give_the_same_features(name: str, tmp_path: Path):
    whole = shaken(getattr(resnet, name)())
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    backbone = catalog.find("backbone", name)(weights=str(tmp_path / "weights.pth"))
    images = torch.rand(2, 3, 32, 64)
    with torch.no_grad():
        expected = features(whole, images)
        torch.testing.assert_close(composed(backbone, images), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("stride", "dilated"), [(16, [False, False, True]), (8, [False, True, True])]
)
def test_dilation_instead_of_stride_is_that_of_torchvision(
    stride: int, dilated: list[bool], tmp_path: Path
):
    whole = shaken(resnet.resnet50(replace_stride_with_dilation=dilated))
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    backbone = resnet50(weights=str(tmp_path / "weights.safetensors"), output_stride=stride)
    assert backbone.stages[-1].stride == stride
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = features(whole, images)
        torch.testing.assert_close(composed(backbone, images), expected, rtol=1e-6, atol=1e-6)


def test_resnet10_loads_the_weights_that_it_gives(tmp_path: Path):
    first, *others = resnet10().modules
    weights = first.state_dict() | {
        f"layer{number}.{name}": value
        for number, stage in enumerate(others, start=2)
        for name, value in stage.state_dict().items()
    }
    save_file(weights, tmp_path / "ten.safetensors")
    loaded = resnet10(weights=str(tmp_path / "ten.safetensors"))
    for one, other in zip([first, *others], loaded.modules, strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path):
    path = tmp_path / "weights.pth"
    torch.save(resnet.resnet34().state_dict(), path)
    with pytest.raises(ValueError, match=r"weights.pth does not fit: it also has layer1\.2\."):
        resnet18(weights=str(path))
    torch.save(resnet.resnet18().state_dict(), path)
    with pytest.raises(
        ValueError, match=r"lacks layer1\.0\.bn3\.bias.* and \d+ more; it has another"
    ):
        resnet50(weights=str(path))


def test_an_output_stride_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="8, 16 or 32, got 4"):
        resnet50(output_stride=4)
