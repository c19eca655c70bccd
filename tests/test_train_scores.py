import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.task import Direction, Task
from branchsearch.train.scores import delta, gain

SEG = Task("seg", "segmentation", "mean_iou", Direction.MAXIMIZE, classes=4)
DEPTH = Task("depth", "depth", "rmse", Direction.MINIMIZE)

positive = st.floats(0.01, 100)


def test_a_published_gain_is_reproduced():
    # NYUD, HRNet-18, MTI-Net with auxiliary tasks: 37.49 mIoU and 0.607 RMSE against 33.2 and
    # 0.667 (Vandenhende et al., ECCV 2020, table 5): +10.96 %
    metrics, alone = {"seg": 37.49, "depth": 0.607}, {"seg": 33.18, "depth": 0.667}
    assert delta([SEG, DEPTH], metrics, alone) == pytest.approx(10.99, abs=0.05)


@given(positive, positive)
def test_better_is_a_gain_whatever_the_direction(metric: float, reference: float):
    assert (gain(SEG, metric, reference) > 0) == (metric > reference)
    assert (gain(DEPTH, metric, reference) > 0) == (metric < reference)


@given(positive, positive)
def test_the_reference_gains_nothing_over_itself(seg: float, depth: float):
    metrics = {"seg": seg, "depth": depth}
    assert delta([SEG, DEPTH], metrics, metrics) == 0


@given(positive, positive, st.floats(0.1, 10))
def test_the_unit_of_a_metric_does_not_matter(metric: float, reference: float, unit: float):
    scaled = gain(DEPTH, unit * metric, unit * reference)
    assert scaled == pytest.approx(gain(DEPTH, metric, reference), rel=1e-6, abs=1e-6)


def test_a_reference_of_zero_is_refused():
    with pytest.raises(ValueError, match="'seg': the single-task mean_iou is 0"):
        gain(SEG, 0.5, 0.0)
