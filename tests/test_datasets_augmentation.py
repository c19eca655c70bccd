from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from branchsearch.datasets.augmentation import MAPS, Augmentation, augment, draws
from branchsearch.datasets.dataset import Label
from branchsearch.datasets.raycast import Camera
from branchsearch.datasets.scenes import Scenes
from branchsearch.task import KINDS

LABELS = {
    "seg": Label("segmentation", classes=5),
    "depth": Label("depth", logarithmic=True),
    "metres": Label("depth"),
    "normals": Label("normals"),
    "edges": Label("edges"),
    "saliency": Label("saliency"),
    "points": Label("keypoints", swaps=((0, 1),)),
    "breed": Label("classification", classes=3),
    "age": Label("regression"),
}
seeds = st.integers(0, 2**31)


def batch(seed: int, count: int = 3, height: int = 6, width: int = 8) -> tuple[Tensor, Any]:
    """Images and one target of every kind, with some of each missing."""
    rng = np.random.default_rng(seed)
    size = (height, width)
    normals = rng.normal(size=(count, 3, *size))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    arrays = {
        "seg": rng.choice(np.uint8([0, 1, 2, 3, 4, 255]), (count, *size)),
        "depth": np.where(rng.random((count, 1, *size)) < 0.1, np.nan, 1).astype(np.float16),
        "metres": rng.uniform(1, 9, (count, 1, 1, 1)).repeat(height, 2).repeat(width, 3),
        "normals": normals.astype(np.float16),
        "edges": rng.choice(np.uint8([0, 1, 255]), (count, 1, *size)),
        "saliency": rng.choice(np.uint8([0, 1, 255]), (count, 1, *size)),
        "points": rng.random((count, 3, *size)).astype(np.float16),
        "breed": rng.integers(-1, 3, count),
        "age": rng.random((count, 1), np.float32),
    }
    images = torch.from_numpy(rng.integers(0, 256, (count, 3, *size), dtype=np.uint8))
    return images, {name: torch.from_numpy(array) for name, array in arrays.items()}


def changed(seed: int, augmentation: Augmentation, count: int = 3) -> tuple[Tensor, Any]:
    images, targets = batch(seed, count)
    return augment(images, targets, LABELS, augmentation, draws(count, seed=seed, epoch=0))


def same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one.float(), other.float(), rtol=0, atol=0, equal_nan=True)


def test_every_kind_of_map_is_known():
    arrays_over_the_image = {"segmentation", "depth", "normals", "edges", "saliency", "keypoints"}
    assert arrays_over_the_image == MAPS
    assert KINDS.keys() - MAPS <= {"classification", "attributes", "regression"}


@given(seeds)
def test_nothing_asked_changes_nothing(seed: int):
    images, targets = batch(seed)
    same_images, same_targets = changed(seed, Augmentation())
    same(same_images, images)
    for name, target in targets.items():
        if name == "normals":  # made unit length again
            torch.testing.assert_close(same_targets[name], target.float(), rtol=0, atol=1e-3)
        else:
            same(same_targets[name], target)


@given(seeds)
def test_a_mirror_image_is_mirrored_in_every_map_and_its_normals_turn(seed: int):
    images, targets = batch(seed)
    mirrored, turned = changed(seed, Augmentation(flip=1))
    same(mirrored, images.flip(-1))
    for name in ("seg", "depth", "edges", "saliency"):
        same(turned[name], targets[name].flip(-1))
    across = targets["normals"].float().flip(-1) * torch.tensor([-1, 1, 1]).view(3, 1, 1)
    torch.testing.assert_close(turned["normals"], across, rtol=0, atol=1e-3)
    same(turned["points"], targets["points"].flip(-1)[:, [1, 0, 2]])
    for name in ("breed", "age"):
        same(turned[name], targets[name])


@given(seeds, st.floats(1.1, 3))
def test_a_zoom_brings_everything_nearer_and_makes_up_no_class(seed: int, zoom: float):
    _, targets = batch(seed)
    _, zoomed = changed(seed, Augmentation(zoom=zoom))
    drawn = draws(3, seed=seed, epoch=0)[:, 1]
    nearer = torch.from_numpy(np.log(1 + (zoom - 1) * drawn)).float()
    for image in range(3):
        depths = zoomed["depth"][image]
        expected = (1 - nearer[image]).expand(int(depths.isfinite().sum()))
        torch.testing.assert_close(depths[depths.isfinite()], expected)
        metres = zoomed["metres"][image] * nearer[image].exp()
        torch.testing.assert_close(metres, targets["metres"][image].float())
        seen, there = zoomed["seg"][image].unique(), targets["seg"][image].unique()
        assert set(seen.tolist()) <= set(there.tolist())
    assert zoomed["seg"].dtype == zoomed["edges"].dtype == torch.uint8
    lengths = zoomed["normals"].norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


@settings(max_examples=20)
@given(seeds, st.floats(1.2, 2.5))
def test_zoomed_depth_and_normals_still_belong_to_one_surface(seed: int, zoom: float):
    """A plane seen by a camera: after a zoom to the centre, the points that the new depths give
    under the same camera span a plane with the new normals."""
    size = 32
    rng = np.random.default_rng(seed)
    normal = np.array([*rng.uniform(-0.4, 0.4, 2), 1.0])
    normal /= np.linalg.norm(normal)
    rays = Camera(np.zeros(3, np.float32), np.eye(3, dtype=np.float32), 0.5).rays(size)
    along = rays / -rays[2]  # depth is measured along the axis here
    depth = -3 * normal[2] / (normal @ along)
    maps = {
        "depth": torch.from_numpy(np.log(depth)).reshape(1, 1, size, size),
        "normals": torch.from_numpy(normal).reshape(1, 3, 1, 1).repeat(1, 1, size, size),
    }
    drawn = np.array([[0, 1, 0.5, 0.5, 0.5, 0.5, 0.5]])
    images = torch.zeros(1, 3, size, size, dtype=torch.uint8)
    _, zoomed = augment(images, maps, LABELS, Augmentation(zoom=zoom), drawn)
    points = along * zoomed["depth"].exp().reshape(1, -1).numpy()
    spread = points - points.mean(axis=1, keepdims=True)
    spanned = np.linalg.svd(spread, full_matrices=False)[0][:, 2]
    told = zoomed["normals"][0, :, 16, 16].numpy()
    assert abs(spanned @ told) > np.cos(np.radians(1))
    if abs(normal[2]) < 0.97:
        assert abs(spanned @ normal) < np.cos(np.radians(1))  # the old ones do not fit


@given(seeds)
def test_image_and_maps_move_together(seed: int):
    """A map that is the image's own red channel still is it where neighbours are equal."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 5, (2, 4, 4), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    images = torch.from_numpy(blocks)[:, None].repeat(1, 3, 1, 1)
    targets = {"seg": torch.from_numpy(blocks)}
    chance = draws(2, seed=seed, epoch=1)
    looked, moved = augment(images, targets, LABELS, Augmentation(flip=0.5, zoom=2), chance)
    inside = torch.nn.functional.max_pool2d(moved["seg"].float(), 5, 1, 2) == (
        -torch.nn.functional.max_pool2d(-moved["seg"].float(), 5, 1, 2)
    )
    middle = (slice(None), slice(2, -2), slice(2, -2))  # what is beyond the border is not known
    assert inside[middle].float().mean() > 0.3
    same(looked[:, 0][middle][inside[middle]], moved["seg"][middle][inside[middle]])


@given(seeds)
def test_an_image_changes_alike_in_whatever_batch_it_comes(seed: int):
    images, targets = batch(seed, count=4)
    strong = Augmentation(flip=0.5, zoom=1.5, colour=0.3)
    chance = draws(4, seed=seed, epoch=2)
    whole, all_targets = augment(images, targets, LABELS, strong, chance)
    few = [2, 0]
    some = {name: target[few] for name, target in targets.items()}
    alone, its_targets = augment(images[few], some, LABELS, strong, chance[few])
    torch.testing.assert_close(alone, whole[few], rtol=0, atol=0)
    for name, target in its_targets.items():
        same(target, all_targets[name][few])


def test_seed_and_epoch_decide_and_nothing_else():
    assert np.array_equal(draws(5, seed=1, epoch=2), draws(5, seed=1, epoch=2))
    assert not np.array_equal(draws(5, seed=1, epoch=2), draws(5, seed=1, epoch=3))
    assert not np.array_equal(draws(5, seed=1, epoch=2), draws(5, seed=2, epoch=2))


@given(seeds)
def test_colours_stay_colours_and_targets_do_not_see_them(seed: int):
    _, targets = batch(seed)
    images, same_targets = changed(seed, Augmentation(colour=0.5))
    assert images.min() >= 0
    assert images.max() <= 255
    same(same_targets["seg"], targets["seg"])


def test_a_grey_image_stays_grey():
    grey = torch.full((1, 3, 4, 4), 100, dtype=torch.uint8)
    drawn = np.array([[0, 0, 0, 0, 1, 0.2, 0.9]])
    images, _ = augment(grey, {}, {}, Augmentation(colour=0.4), drawn)
    torch.testing.assert_close(images, torch.full((1, 3, 4, 4), 140.0))


def test_scenes_stay_true(tmp_path: Path):
    few: dict[str, Any] = {"train": 4, "validation": 1, "test": 1, "probe": 1, "seed": 0}
    data = Scenes(size=48, **few).open(tmp_path)
    part = data.parts["train"]
    targets = {name: torch.tensor(np.array(array)) for name, array in part.targets.items()}
    images, seen = augment(
        torch.tensor(np.array(part.images)),
        targets,
        data.labels,
        Augmentation(flip=0.5, zoom=1.5),
        draws(4, seed=0, epoch=0),
    )
    assert images.shape == (4, 3, 48, 48)
    assert set(seen["seg"].unique().tolist()) <= {0, 1, 2, 3}
    assert seen["depth"].isfinite().all()
    assert seen["depth"].mean() < targets["depth"].float().mean()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [({"flip": 1.5}, "chance"), ({"zoom": 0.5}, "at least 1"), ({"colour": 1}, "in \\[0, 1\\)")],
)
def test_a_number_out_of_range_is_named(wrong: dict[str, float], right: str):
    with pytest.raises(ValueError, match=right):
        Augmentation(**wrong)


@given(seeds)
def test_a_map_is_never_more_than_half_a_pixel_from_its_image(seed: int):
    ramp = torch.arange(32, dtype=torch.uint8)
    across, down = ramp.repeat(2, 32, 1), ramp[:, None].repeat(2, 1, 32)
    images = torch.stack([across, down, down], dim=1)
    maps = {"across": across, "down": down}
    labels = dict.fromkeys(maps, Label("segmentation", classes=32))
    chance = draws(2, seed=seed, epoch=0)
    seen, moved = augment(images, maps, labels, Augmentation(flip=0.5, zoom=3), chance)
    for channel, name in enumerate(maps):
        assert (seen[:, channel] - moved[name].float()).abs().max() <= 0.5 + 1e-4
