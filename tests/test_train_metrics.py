import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    jaccard_score,
    mean_absolute_error,
    root_mean_squared_error,
)
from torch import Tensor

from branchsearch import catalog
from branchsearch.task import KINDS
from branchsearch.train.metrics.edges import THRESHOLDS, matches, thinned
from tests.tasks import MANY, task_of

NAN = float("nan")
few = settings(max_examples=10)  # scikit-learn takes its time


def kind_of(metric: str) -> str:
    return next(name for name, kind in KINDS.items() if metric in kind.metrics)


def measured(metric: str, *batches: tuple[Tensor, Tensor], kind: str | None = None) -> float:
    judge = catalog.find("metric", metric)(task_of(kind or kind_of(metric), metric))
    for predicted, target in batches:
        judge.update(predicted, target)
    return float(judge.compute())


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def one_hot(classes: list[int]) -> Tensor:
    return torch.eye(3)[classes].T.reshape(1, 3, 1, len(classes))


def pixels(*rows: str) -> Tensor:
    """A map of one image: ``#`` is 1, ``?`` is unlabelled."""
    values = [[{"#": 1, "?": 255}.get(letter, 0) for letter in row] for row in rows]
    return torch.tensor(values, dtype=torch.uint8)[None, None]


def sure(target: Tensor) -> Tensor:
    return 20 * (target == 1).float() - 10


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@given(st.integers(0, 2**31), st.integers(4, 40))
@few
def test_classes_are_judged_as_scikit_learn_judges_them(seed: int, images: int):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, MANY, images)
    predicted = torch.from_numpy(rng.normal(size=(images, MANY)))
    said = predicted.argmax(1).numpy()
    batch = (predicted, torch.from_numpy(truth))
    close = {"rel": 1e-6, "abs": 1e-9}
    assert measured("accuracy", batch) == pytest.approx((said == truth).mean(), **close)
    balanced = balanced_accuracy_score(truth, said)
    assert measured("balanced_accuracy", batch) == pytest.approx(balanced, **close)
    f1 = f1_score(truth, said, average="macro")
    assert measured("mean_f1", batch) == pytest.approx(f1, **close)


@given(st.integers(0, 2**31))
@few
def test_attributes_are_judged_as_scikit_learn_judges_each(seed: int):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, (30, MANY)).astype(np.float32)
    truth[:2] = [[0] * MANY, [1] * MANY]
    truth[rng.random(truth.shape) < 0.2] = NAN
    truth[:2] = [[0] * MANY, [1] * MANY]
    scores = rng.normal(size=truth.shape).round(1).astype(np.float32)  # with ties
    columns = [
        (truth[there, n] == 1, scores[there, n]) for n, there in enumerate(np.isfinite(truth).T)
    ]
    batch = (torch.from_numpy(scores), torch.from_numpy(truth))

    def judged(metric: str) -> float:
        return measured(metric, batch, kind="attributes")

    said = [(has, score > 0) for has, score in columns]
    assert judged("accuracy") == pytest.approx(np.mean([(h == s).mean() for h, s in said]))
    balanced = np.mean([balanced_accuracy_score(*one) for one in said])
    assert judged("balanced_accuracy") == pytest.approx(balanced)
    assert judged("mean_f1") == pytest.approx(np.mean([f1_score(*one) for one in said]))
    areas = np.mean([average_precision_score(*one) for one in columns])
    assert judged("mean_average_precision") == pytest.approx(areas, rel=1e-5)


def test_attributes_that_a_network_is_sure_of_are_ranked_all_the_same():
    scores = torch.tensor([[120.0], [90], [60], [30], [-90], [-120]]).expand(-1, MANY)
    truth = torch.tensor([[0.0], [1], [0], [1], [1], [0]]).expand(-1, MANY)
    area = average_precision_score(truth[:, 0].numpy(), scores[:, 0].numpy())
    assert measured("mean_average_precision", (scores, truth)) == pytest.approx(area)


def test_an_attribute_that_no_image_has_is_left_out_of_the_areas():
    truth = torch.tensor([[1.0, 0, NAN], [0, 0, NAN]])
    batch = (torch.tensor([[1.0, 1, 1], [0, 0, 0]]), truth)
    assert measured("mean_average_precision", batch) == 1


def test_numbers_are_judged_as_scikit_learn_judges_them():
    predicted, truth = drawn(20, MANY, seed=1), drawn(20, MANY, seed=2)
    given = (predicted.flatten().numpy(), truth.flatten().numpy())
    rmse = root_mean_squared_error(*given)
    assert measured("rmse", (predicted, truth), kind="regression") == pytest.approx(rmse)
    mean = mean_absolute_error(*given)
    got = measured("mean_absolute_error", (predicted, truth), kind="regression")
    assert got == pytest.approx(mean)


def test_mean_iou_as_scikit_learn_has_it():
    predicted, truth = drawn(2, MANY, 8, 8), torch.randint(0, MANY, (2, 8, 8)).byte()
    said = predicted.argmax(1).flatten()
    expected = jaccard_score(truth.flatten(), said, average="macro")
    assert measured("mean_iou", (predicted, truth)) == pytest.approx(expected, rel=1e-6)


def test_mean_iou_and_pixel_accuracy_by_hand():
    predicted = one_hot([0, 0, 1, 1, 2])
    target = torch.tensor([[[0, 1, 1, 1, 255]]], dtype=torch.uint8)
    # class 0: 1 of 2; class 1: 2 of 3; class 2 is neither there nor, but for one unlabelled pixel,
    # predicted
    assert measured("mean_iou", (predicted, target)) == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-6)
    assert measured("pixel_accuracy", (predicted, target)) == 3 / 4


def test_rmse_by_hand_over_batches():
    target = torch.tensor([[[[0.0, NAN]]]])
    batches = [(torch.tensor([[[[3.0, 9.0]]]]), target), (torch.tensor([[[[4.0, 9.0]]]]), target)]
    assert measured("rmse", *batches) == pytest.approx(math.sqrt((9 + 16) / 2))


def test_log_rmse_by_hand():
    e = math.e
    target = torch.tensor([[[[1.0, e**3, 1.0, 0.0, NAN]]]])
    predicted = torch.tensor([[[[e, e, -5.0, 1.0, 1.0]]]])
    # off by 1 and by 2 in logarithms, and from the least distance; 0 has no logarithm
    expected = math.sqrt((1 + 4 + math.log(1e-3) ** 2) / 3)
    assert measured("log_rmse", (predicted, target)) == pytest.approx(expected)


def directions(*degrees: float) -> Tensor:
    angles = torch.tensor(degrees).deg2rad()
    return torch.stack([angles.cos(), angles.sin(), 0 * angles]).reshape(1, 3, 1, -1)


def test_angles_by_hand():
    predicted, target = 5 * directions(0, 10, 90, 180, 11), directions(0, 0, 0, 0, 0)
    batch = (predicted, target)
    assert measured("angular_error", batch) == pytest.approx((10 + 90 + 180 + 11) / 5, abs=0.05)
    assert measured("median_angular_error", batch) == pytest.approx(11, abs=0.01)
    assert measured("within_11_degrees", batch) == pytest.approx(3 / 5)


@given(st.integers(0, 2**31))
@few
def test_the_median_angle_is_the_median_to_a_hundredth_of_a_degree(seed: int):
    angles = torch.rand(101, generator=torch.Generator().manual_seed(seed)) * 170 + 1
    batch = (directions(*angles.tolist()), directions(*[0.0] * 101))
    assert measured("median_angular_error", batch) == pytest.approx(
        float(angles.median()), abs=0.02
    )


def test_average_precision_of_a_perfect_ranking_is_one():
    target = torch.tensor([[[[1, 0, 1, 0]]]], dtype=torch.uint8)
    assert measured("average_precision", (4 * (target.float() - 0.5), target)) == pytest.approx(1)


def test_average_precision_counts_as_torchmetrics_does():
    from torchmetrics.classification import BinaryAveragePrecision  # needs branchsearch's first

    ours = catalog.find("metric", "average_precision")(task_of("edges", "average_precision"))
    theirs = BinaryAveragePrecision(thresholds=200, ignore_index=255)
    generator = torch.Generator().manual_seed(0)
    for images in (3, 2):
        scores = 3 * torch.randn(images, 1, 9, 7, generator=generator)
        # some as sure as float32 can be, some right on a threshold
        scores[0, 0, 0], scores[0, 0, 1] = 200, torch.linspace(0, 1, 200)[60:67].logit()
        target = torch.randint(0, 2, scores.shape, generator=generator, dtype=torch.uint8)
        target[1, 0, 2:4] = 255
        ours.update(scores, target)
        theirs.update(scores.sigmoid(), target.long())
    assert torch.equal(ours.confmat, theirs.confmat)
    assert ours.compute() == theirs.compute()


def test_average_precision_is_near_the_exact_one():
    target = (torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(0)) < 0.2).byte()
    scores = target + drawn(1, 1, 40, 40)
    exact = average_precision_score(target.flatten(), scores.flatten())
    assert measured("average_precision", (scores, target)) == pytest.approx(exact, abs=0.005)


def test_saliency_by_hand():
    # at the best threshold the first image is found with one pixel too many, of the second half
    one, other = pixels("##.."), pixels("##..")
    predicted = torch.tensor([[[[3.0, 3, 3, -3]]], [[[3.0, -3, -3, -3]]]])
    batch = (predicted, torch.cat([one, other]))
    precision, recall = (2 / 3 + 1) / 2, (1 + 1 / 2) / 2
    f = 1.3 * precision * recall / (0.3 * precision + recall)
    assert measured("saliency_f", batch) == pytest.approx(f)
    assert measured("saliency_iou", batch) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_an_image_in_which_nothing_stands_out_does_not_count():
    target = torch.cat([pixels("#."), pixels("..")])
    batch = (torch.tensor([[[[9.0, -9]]], [[[9.0, 9]]]]), target)
    assert measured("saliency_iou", batch) == 1
    assert math.isnan(measured("saliency_f", (batch[0][1:], target[1:])))


def peak(row: int, column: int, height: int = 10, width: int = 20) -> Tensor:
    heat = torch.zeros(height, width)
    heat[row, column] = 0.8
    return heat


def test_keypoints_by_hand():
    truth = torch.stack([peak(2, 3), peak(5, 5), torch.zeros(10, 20), torch.full((10, 20), NAN)])
    predicted = torch.stack([peak(2, 5), peak(9, 8), peak(0, 0), peak(0, 0)])
    batch = (predicted[None], truth[None].half())
    assert measured("keypoint_error", batch) == pytest.approx((2 + 5) / 2)
    # a tenth of the longer side is 2 pixels
    assert measured("pck", batch) == 1 / 2


def test_edges_by_hand():
    target = pixels("#####", ".....", ".....")
    predicted = sure(pixels("##...", ".....", "..#.."))
    # 2 of 3 are right, and 2 of 5 found
    assert measured("edge_f", (predicted, target)) == pytest.approx(2 * 2 / (3 + 5))


def test_predicted_edges_without_a_label_are_neither_right_nor_wrong():
    target = pixels("##???")
    assert measured("edge_f", (sure(pixels("##.##")), target)) == 1


def test_the_best_threshold_is_taken_for_all_images_together():
    target = torch.cat([pixels("#.#..."), pixels("#.#...")])
    odds = torch.logit(
        torch.tensor([[[[0.92, 0.1, 0.92, 0.1, 0.62, 0.1]]], [[[0.62, 0.1, 0.62, 0.1, 0.1, 0.1]]]])
    )
    # up to 0.6: all four found beside one wrong; above: two found and nothing wrong
    assert measured("edge_f", (odds, target)) == pytest.approx(2 * 4 / (5 + 4))


def lines(size: int, *columns: int) -> np.ndarray:
    drawn = np.zeros((1, size, size), bool)
    drawn[:, :, list(columns)] = True
    return drawn


def test_an_edge_a_pixel_beside_the_true_one_is_right_in_a_big_image_alone():
    for size, found in ((64, 0), (128, 128)):
        assert matches(lines(size, 9), lines(size, 10)) == found
    assert matches(lines(128, 9), lines(128, 11)) == 0


def test_every_true_pixel_makes_one_predicted_pixel_right():
    assert matches(lines(128, 9, 10, 11), lines(128, 10)) == 128
    assert matches(lines(128, 10), lines(128, 9, 10, 11)) == 128


def test_pixels_of_different_images_never_match():
    ours = np.concatenate([lines(128, 9), lines(128)])
    assert matches(ours, ours[::-1].copy()) == 0


@given(st.integers(0, 2**31))
@few
def test_matching_nearest_first_finds_nearly_as_many_as_any(seed: int):
    rng = np.random.default_rng(seed)
    truth = rng.random((1, 128, 128)) < 0.05
    moved = np.roll(truth, (rng.integers(-1, 2), rng.integers(-1, 2)), axis=(1, 2))
    ours = (moved & (rng.random(truth.shape) < 0.8)) | (rng.random(truth.shape) < 0.02)
    most = with_augmenting_paths(ours[0], truth[0])
    assert 0.9 * most <= matches(ours, truth) <= most


def test_matching_changes_nothing():
    ours, theirs = lines(128, 9), lines(128, 10)
    matches(ours, theirs)
    assert ours.sum() == theirs.sum() == 128


def with_augmenting_paths(ours: np.ndarray, theirs: np.ndarray) -> int:
    """The most pairs, by the textbook: an augmenting path for one pixel after another."""
    reach = 0.0075 * math.hypot(*ours.shape)
    rights = np.argwhere(theirs)
    near = [
        np.flatnonzero(np.hypot(*(rights - left).T) <= reach).tolist() for left in np.argwhere(ours)
    ]
    partner: dict[int, int] = {}

    def augment(left: int, seen: set[int]) -> bool:
        for right in near[left]:
            if right not in seen:
                seen.add(right)
                if right not in partner or augment(partner[right], seen):
                    partner[right] = left
                    return True
        return False

    return sum(augment(left, set()) for left in range(len(near)))


def test_thick_lines_are_thinned_to_their_crest():
    crest = torch.tensor([0.1, 0.5, 0.9, 0.5, 0.1]).expand(1, 1, 5, 5)
    for lines_ in (crest, crest.mT):
        kept = thinned(lines_) > 0.2
        assert torch.equal(kept, lines_ == 0.9)
    far = torch.tensor([[abs(row - column) for column in range(9)] for row in range(9)])
    kept = thinned((1 - 0.2 * far)[None, None])[0, 0] > 0.2
    assert kept[far == 0].all()
    assert not kept[far > 1].any()


def test_thinning_leaves_a_true_drawing_alone():
    drawing = pixels("##...", "..##.", "..###", "..###").float()
    assert torch.equal(thinned(drawing), drawing)


def test_thresholds_are_probabilities():
    assert all(0 < threshold < 1 for threshold in THRESHOLDS)
    assert len(set(THRESHOLDS)) == 19
