from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from branchsearch import catalog
from branchsearch.backbones.backbone import Backbone
from branchsearch.backbones.chain import NotCuttable
from branchsearch.backbones.operators import declare_missing
from branchsearch.backbones.timm_models import timm_model
from branchsearch.backbones.timm_stages import TimmFirstStage, TimmStage

declare_missing()
import timm  # noqa: E402


def parts(backbone: Backbone) -> list[list[str]]:
    first, *others = backbone.modules
    assert isinstance(first, TimmFirstStage)
    return [list(stage.parts) for stage in others if isinstance(stage, TimmStage)]


def test_a_hierarchy_is_cut_at_a_quarter_and_every_half_of_that():
    backbone = timm_model("mobilenetv3_small_100")
    assert [stage.stride for stage in backbone.stages] == [4, 8, 16, 32]
    assert parts(backbone) == [["blocks.1"], ["blocks.2", "blocks.3"], ["blocks.4", "blocks.5"]]


def test_a_transformer_is_cut_behind_every_quarter_of_its_blocks():
    backbone = timm_model("vit_tiny_patch16_224", arguments={"img_size": 32, "depth": 8})
    assert [stage.kind for stage in backbone.stages] == ["tokens", "tokens", "tokens", "map"]
    assert parts(backbone)[2] == ["blocks.6", "blocks.7", "norm"]


def test_finer_cuts_lie_inside_a_stage():
    backbone = timm_model("resnet18", cuts=["layer2.0", "layer3"])
    assert [(stage.channels, stage.stride) for stage in backbone.stages] == [
        (128, 8),
        (256, 16),
        (512, 32),
    ]
    assert parts(backbone) == [["layer2.1", "layer3"], ["layer4"]]


def test_a_cut_before_a_relu_in_place_leaves_the_features():
    first, second, *_ = timm_model("resnet18", cuts=["bn1", "layer1"]).modules
    with torch.no_grad():
        features = first.eval()(torch.randn(1, 3, 32, 32))
        before = features.clone()
        second.eval()(features)
    assert torch.equal(features, before)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_come_from_a_file(suffix: str, tmp_path: Path):
    torch.manual_seed(0)
    whole, path = timm.create_model("mobilenetv3_small_050"), tmp_path / f"weights.{suffix}"
    save = save_file if suffix == "safetensors" else torch.save
    save(whole.state_dict(), path)
    backbone = timm_model("mobilenetv3_small_050", weights=str(path))
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = whole.eval().forward_features(images)
        for module in backbone.modules:
            images = module.eval()(images)
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-6)


def test_positions_of_a_transformer_are_fitted_to_other_images(tmp_path: Path):
    whole = timm.create_model("vit_tiny_patch16_224", depth=4)
    save_file(whole.state_dict(), tmp_path / "vit.safetensors")
    arguments = {"img_size": 64, "depth": 4}
    weights = str(tmp_path / "vit.safetensors")
    backbone = timm_model("vit_tiny_patch16_224", weights=weights, arguments=arguments)
    with torch.no_grad():
        features = backbone.modules[0].eval()(torch.rand(1, 3, 64, 64))
    assert features.shape == (1, 17, 192)


def test_weights_of_another_model_are_refused(tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model("mobilenetv3_small_050").state_dict(), path)
    with pytest.raises(
        ValueError, match=r"weights.safetensors .*timm:resnet18|does not fit: it la"
    ):
        timm_model("resnet18", weights=str(path))
    with pytest.raises(ValueError, match="no file of weights"):
        timm_model("resnet18", weights=str(tmp_path / "none.pth"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda read: read.pop("blocks.0.0.conv_dw.weight"), "it lacks blocks.0.0.conv_dw.weight"),
        (lambda read: read.update(strange=torch.ones(1)), "it also has strange"),
        (lambda read: read.update(bn1=read.pop("bn1.weight")), "it lacks bn1.weight; it also has"),
        (lambda read: read.clear(), "holds no weights by name"),
    ],
)
def test_weights_that_lack_or_are_too_many_are_named(
    change: Callable[[dict[str, Tensor]], Any], told: str, tmp_path: Path
):
    read = timm.create_model("mobilenetv3_small_050").state_dict()
    change(read)
    torch.save(read, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=told):
        timm_model("mobilenetv3_small_050", weights=str(tmp_path / "weights.pth"))


@pytest.mark.parametrize(
    ("model", "args", "told"),
    [
        ("resnet81", {}, "has no model 'resnet81'; close to it: .*resnet18"),
        ("hf-hub:timm/resnet18", {}, "has no model"),
        ("resnet18", {"arguments": {"checkpoint_path": "x"}}, "may not hold checkpoint_path"),
        ("twins_svt_small", {}, "says of no module .*; say where by cuts: "),
        (
            "vit_tiny_patch16_224",
            {"arguments": {"img_size": 64, "dynamic_img_size": True}},
            "may not hold dynamic_img_size",
        ),
        ("resnet18", {"arguments": {"colour": "red"}}, "does not make resnet18 with .*colour"),
        ("resnet18", {"weights": "x", "pretrained": True}, "not from both"),
        ("resnet18", {"cuts": ["layer5"]}, "cannot be cut behind 'layer5'.* conv1, .*layer3$"),
        ("resnet18", {"cuts": ["layer2.0.conv1"]}, "cannot cut inside 'layer2.0'"),
        ("resnet18", {"cuts": ["layer2", "layer1"]}, "not in the model's order"),
        ("resnet18", {"cuts": ["layer4"]}, "cannot be cut behind 'layer4'"),
        ("hrnet_w18_small", {}, "more than one tensor goes across"),
        (
            "vit_small_patch16_dinov3",
            {"arguments": {"img_size": 32, "depth": 2}, "cuts": ["blocks.0"]},
            r"behind 'blocks.0' or anywhere else: .* as in beit, beitv2, dinov3, eva02, hrnet",
        ),
        (
            "beit_base_patch16_224",
            {"arguments": {"img_size": 32, "depth": 2}},
            "cannot be cut .*anywhere else: more than one tensor goes across",
        ),
    ],
)
def test_what_cannot_be_made_or_cut_is_named(model: str, args: dict[str, object], told: str):
    with pytest.raises(ValueError, match=told):
        timm_model(model, **args)  # type: ignore[arg-type]


def test_a_model_that_is_not_a_row_says_so():
    assert issubclass(NotCuttable, ValueError)
    with pytest.raises(NotCuttable, match="blocks"):
        catalog.find("backbone", "timm:eva02_tiny_patch14_224")(arguments={"img_size": 56})
