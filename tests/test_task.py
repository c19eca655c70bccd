import pytest

from branchsearch.task import KINDS, METRICS, Direction, Task


def task(**other: object) -> Task:
    given = {"name": "d", "kind": "depth", "metric": "rmse", "direction": Direction.MINIMIZE}
    return Task(**{**given, **other})  # type: ignore[arg-type]


def test_every_metric_of_every_kind_has_a_direction():
    assert {metric for kind in KINDS.values() for metric in kind.metrics} == set(METRICS)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ({"kind": "dept"}, "there are .*'depth'"),
        ({"metric": "mean_iou"}, "one of .'rmse'"),
        ({"direction": Direction.MAXIMIZE}, "direction of rmse is minimize, not maximize"),
        ({"classes": 3}, "takes no classes"),
        ({"name": "a+b"}, "task's name"),
        ({"weight": 0.0}, "weight must be positive"),
        ({"weight": float("inf")}, "weight must be positive"),
        ({"weight": float("nan")}, "weight must be positive"),
    ],
)
def test_what_does_not_fit_together_is_refused(wrong: dict[str, object], right: str):
    with pytest.raises(ValueError, match=right):
        task(**wrong)


def test_segmentation_needs_its_classes():
    segmentation = {"kind": "segmentation", "metric": "mean_iou", "direction": Direction.MAXIMIZE}
    with pytest.raises(ValueError, match="needs its number of classes"):
        task(**segmentation)
    with pytest.raises(ValueError, match="at least 2 classes"):
        task(**segmentation, classes=1)
    assert task(**segmentation, classes=4).outputs == 4


def test_outputs_follow_from_the_kind():
    assert task().outputs == 1
    assert task(kind="normals", metric="angular_error").outputs == 3
