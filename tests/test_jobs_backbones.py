from typing import Any

import pytest

from branchsearch.jobs.check import check_job
from branchsearch.jobs.reading import InvalidSpec
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
