import pytest

from branchsearch.task import KINDS, METRICS, Direction, Head, Task
from tests.tasks import task_of


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
        ({"count": 3}, "takes no count"),
        ({"name": "a+b"}, "task's name"),
        ({"weight": 0.0}, "weight must be positive"),
        ({"weight": float("inf")}, "weight must be positive"),
        ({"weight": float("nan")}, "weight must be positive"),
    ],
)
def test_what_does_not_fit_together_is_refused(wrong: dict[str, object], right: str):
    with pytest.raises(ValueError, match=right):
        task(**wrong)


@pytest.mark.parametrize("kind", ["segmentation", "classification"])
def test_classes_are_numbered(kind: str):
    asked = {"kind": kind, "metric": KINDS[kind].metrics[0], "direction": Direction.MAXIMIZE}
    with pytest.raises(ValueError, match=r"needs its number of classes, as classes"):
        task(**asked)
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        task(**asked, classes=1)
    with pytest.raises(ValueError, match="takes no count"):
        task(**asked, classes=2, count=2)
    assert task(**asked, classes=4).outputs == 4


@pytest.mark.parametrize("kind", ["attributes", "regression", "keypoints"])
def test_what_is_counted_is_counted(kind: str):
    metric = KINDS[kind].metrics[0]
    asked = {"kind": kind, "metric": metric, "direction": METRICS[metric]}
    counted = KINDS[kind].counted
    with pytest.raises(ValueError, match=f"needs its number of {counted}, as count"):
        task(**asked)
    with pytest.raises(ValueError, match=f"at least 1 {counted}, got 0"):
        task(**asked, count=0)
    assert task(**asked, count=40).outputs == 40


def test_pixels_have_no_more_classes_than_a_byte_can_tell():
    asked = {"kind": "segmentation", "metric": "mean_iou", "direction": Direction.MAXIMIZE}
    assert task(**asked, classes=255).outputs == 255
    with pytest.raises(ValueError, match="pixels have at most 255 classes, got 256"):
        task(**asked, classes=256)
    images = {"kind": "classification", "metric": "accuracy", "direction": Direction.MAXIMIZE}
    assert task(**images, classes=1000).outputs == 1000


def test_outputs_follow_from_the_kind():
    assert task().outputs == 1
    assert task(kind="normals", metric="angular_error").outputs == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_that_is_named_is_taken_and_else_the_kinds_own(kind: str):
    assert task_of(kind).head_or_default == Head(KINDS[kind].head)
    named = Head("fpn", {"width": 8})
    assert task_of(kind, head=named).head_or_default == named
    assert hash(task_of(kind, head=named)) == hash(task_of(kind, head=named))
