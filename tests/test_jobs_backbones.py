from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file
from torch import Tensor

from branchsearch.backbones.residual import resnet10
from branchsearch.jobs.check import check_job
from branchsearch.jobs.reading import InvalidSpec
from branchsearch.jobs.spec import Component
from branchsearch.jobs.training import build_backbone
from branchsearch.train.recipe import Recipe
from branchsearch.tree import Tree
from tests.specs import TINY, tiny


def with_backbone(name: str, **args: Any) -> dict[str, Any]:  # noqa: ANN401  # any argument
    return tiny(space={**TINY["space"], "backbone": {"name": name, "args": args}})


@pytest.mark.parametrize(
    ("name", "args", "stages"),
    [
        ("timm:mobilenetv3_small_050", {"cuts": ["blocks.0", "blocks.2"]}, 3),
        ("timm:vit_tiny_patch16_224", {"arguments": {"img_size": 16, "depth": 4}}, 4),
        ("fx:tests.own_net:Net", {"cuts": ["one", "two"], "output": "three"}, 3),
        ("resnet10", {}, 4),
    ],
)
def test_a_job_may_name_any_backbone(name: str, args: dict[str, Any], stages: int):
    costs = check_job(with_backbone(name, **args)).space.costs
    assert len(costs.stages) == stages


@pytest.mark.parametrize(
    ("name", "args", "told"),
    [
        ("tim:resnet18", {}, "did you mean 'timm:resnet18'"),
        ("timm:resnet81", {}, "no model 'resnet81'; close to it"),
        ("timm:resnet18", {"cutz": []}, "takes no 'cutz'; it takes cuts, weights, pretrained"),
        ("fx:tests.own_net:Net", {}, "needs cuts"),
        ("timm:vit_tiny_patch16_224", {}, r"backbone.*: it does not take images of 16x16 pixels"),
        ("resnet18", {"weights": "none.pth"}, "backbone.args.*no file of weights at none.pth"),
    ],
)
def test_a_backbone_that_cannot_be_is_told_before_anything_runs(
    name: str, args: dict[str, Any], told: str
):
    with pytest.raises(InvalidSpec, match=told):
        check_job(with_backbone(name, **args))


def test_trainings_are_kept_apart_when_a_file_of_weights_has_changed(tmp_path: Path):
    def key() -> str:
        job = check_job(with_backbone("resnet10", weights=str(path)))
        tree = Tree.share_all(job.space.space.tasks, 4)
        recipe = Recipe(
            epochs=1, batch_size=2, learning_rate=0.1, weight_decay=0.0, warm_up=0.0, averaging=0.0
        )
        return job.space.training(
            tmp_path,
            tree,
            recipe=recipe,
            balancing=Component(name="fixed"),
            seed=0,
            test=False,
            threads=1,
            device="cpu",
        ).key

    path, weights = tmp_path / "ten.safetensors", weights_of_resnet10()
    save_file(weights, path)
    first = key()
    assert key() == first
    save_file({**weights, "bn1.bias": weights["bn1.bias"] + 1}, path)
    assert key() != first


def weights_of_resnet10() -> dict[str, Tensor]:
    first, *others = resnet10().modules
    named = {f"layer{n}.{k}": v for n, m in enumerate(others, 2) for k, v in m.state_dict().items()}
    return first.state_dict() | named


def test_only_what_is_not_this_package_has_content():
    assert build_backbone(("resnet18", {})).content == ""
    assert build_backbone(("timm:mobilenetv3_small_050", {})).content.startswith("timm 1.")
    own = {"cuts": ["one"], "output": "two"}
    one, other = (build_backbone(("fx:tests.own_net:Net", own)).content for _ in range(2))
    assert one == other != ""
