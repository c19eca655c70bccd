from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.datasets.composition import DIFFICULTIES, compose
from branchsearch.datasets.dataset import PARTS, Dataset
from branchsearch.datasets.raycast import Shape
from branchsearch.datasets.scenes import LABELS, Scenes, edges, picture
from branchsearch.task import KINDS

FEW: dict[str, Any] = {"size": 16, "train": 6, "validation": 3, "test": 3, "probe": 3, "seed": 7}


def draw(seed: int, size: int = 32) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return picture(compose(rng), size, rng)


def same(first: Dataset, second: Dataset, part: str, count: int) -> bool:
    ours, theirs = first.parts[part], second.parts[part]
    return np.array_equal(ours.images[:count], theirs.images[:count]) and all(
        np.array_equal(ours.targets[name][:count], theirs.targets[name][:count]) for name in LABELS
    )


def test_arrays_are_as_the_parts_promise(tmp_path: Path):
    data = Scenes(**FEW).open(tmp_path)
    for part in PARTS:
        count, targets = FEW[part], data.parts[part].targets
        image = (data.parts[part].images.dtype, data.parts[part].images.shape)
        assert image == (np.uint8, (count, 3, 16, 16))
        assert {name: (array.dtype, array.shape) for name, array in targets.items()} == {
            "seg": (np.uint8, (count, 16, 16)),
            "depth": (np.float16, (count, 1, 16, 16)),
            "normals": (np.float16, (count, 3, 16, 16)),
            "edges": (np.uint8, (count, 1, 16, 16)),
        }
    assert {label.kind for label in data.labels.values()} <= set(KINDS)


def test_no_image_is_in_two_parts_or_twice_in_one(tmp_path: Path):
    data = Scenes(**FEW).open(tmp_path)
    images = [image.tobytes() for part in data.parts.values() for image in part.images]
    assert len(set(images)) == len(images)


@pytest.mark.parametrize("part", PARTS)
def test_more_images_of_one_part_change_no_earlier_one(tmp_path: Path, part: str):
    few = Scenes(**FEW).open(tmp_path)
    more = Scenes(**{**FEW, part: FEW[part] + 2}).open(tmp_path)
    assert all(same(few, more, other, FEW[other]) for other in PARTS)
    assert few.fingerprint != more.fingerprint


def test_equal_arguments_give_equal_data_elsewhere_and_another_seed_gives_others(tmp_path: Path):
    first, twin = (Scenes(**FEW).open(tmp_path / name) for name in ("first", "twin"))
    assert all(same(first, twin, part, FEW[part]) for part in PARTS)
    assert (first.fingerprint, first.mean, first.std) == (twin.fingerprint, twin.mean, twin.std)
    other = Scenes(**{**FEW, "seed": 2**40}).open(tmp_path)
    assert not any(same(first, other, part, FEW[part]) for part in PARTS)


def test_the_colours_are_those_of_the_training_images(tmp_path: Path):
    data = Scenes(**FEW).open(tmp_path)
    values = data.parts["train"].images / 255
    np.testing.assert_allclose(data.mean, values.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(data.std, values.std(axis=(0, 2, 3)))


@given(st.integers(0, 2**63), st.sampled_from([8, 31, 64]))
def test_every_pixel_has_every_truth(seed: int, size: int):
    drawn = draw(seed, size)
    assert set(np.unique(drawn["seg"])) <= {shape.value for shape in Shape}
    assert np.isfinite(drawn["depth"]).all()
    lengths = np.linalg.norm(drawn["normals"].astype(float), axis=0)
    np.testing.assert_allclose(lengths, 1, atol=2e-3)


@given(st.integers(0, 2**63))
def test_a_class_changes_only_across_an_edge(seed: int):
    drawn = draw(seed)
    seg, edge = drawn["seg"], drawn["edges"][0]
    assert (edge[1:] | edge[:-1])[seg[1:] != seg[:-1]].all()
    assert (edge[:, 1:] | edge[:, :-1])[seg[:, 1:] != seg[:, :-1]].all()
    assert (seg[edge == 1] != Shape.ROOM).all()


@given(st.integers(0, 2**32), st.integers(2, 9), st.integers(1, 4))
def test_an_edge_is_exactly_the_nearer_side_of_a_change_of_solid(seed: int, size: int, kinds: int):
    rng = np.random.default_rng(seed)
    solids = rng.integers(0, kinds, (size, size))
    distances = rng.uniform(1, 2, (size, size))
    expected = np.zeros((size, size), bool)
    for row in range(size):
        for column in range(size):
            for r, c in (
                (row - 1, column),
                (row + 1, column),
                (row, column - 1),
                (row, column + 1),
            ):
                if 0 <= r < size and 0 <= c < size and solids[r, c] != solids[row, column]:
                    behind = solids[r, c] == 0 or distances[r, c] > distances[row, column]
                    expected[row, column] |= solids[row, column] != 0 and behind
    np.testing.assert_array_equal(edges(solids, distances), expected)


def test_every_class_is_seen_often_and_in_about_equal_parts():
    counts = sum(np.bincount(draw(seed)["seg"].ravel(), minlength=4) for seed in range(200))
    shares = counts / counts.sum()
    assert 0.5 < shares[0] < 0.85
    assert shares[1:].min() > 0.5 * shares[1:].max()


def test_neither_colour_nor_contrast_tells_a_shape():
    """A nearest-mean guess from a shape's mean colour and contrast is hardly better than chance."""
    rows, shapes = [], []
    for seed in range(600):
        drawn = draw(seed)
        for shape in set(np.unique(drawn["seg"])) - {0}:
            pixels = drawn["images"][:, drawn["seg"] == shape]
            if pixels.shape[1] > 20:
                rows.append([*pixels.mean(axis=1), *pixels.std(axis=1)])
                shapes.append(shape)
    features, truth = np.array(rows), np.array(shapes)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    half = len(truth) // 2
    means = [features[:half][truth[:half] == shape].mean(axis=0) for shape in (1, 2, 3)]
    guess = 1 + np.argmin([((features[half:] - mean) ** 2).sum(axis=1) for mean in means], axis=0)
    assert np.mean(guess == truth[half:]) < 0.45


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ({"size": 7}, "size must be 8 to 256 pixels, got 7"),
        ({"size": 257}, "size must be 8 to 256 pixels, got 257"),
        ({"probe": 0}, "probe must be at least 1 image, got 0"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"difficulty": "odd"}, "difficulty must be one of easy, normal, hard, got 'odd'"),
    ],
)
def test_a_number_out_of_range_is_named(tmp_path: Path, wrong: dict[str, Any], right: str):
    with pytest.raises(ValueError, match=right):
        Scenes(**{**FEW, **wrong}).open(tmp_path)
    assert not list(tmp_path.iterdir())


def test_normal_scenes_are_those_of_old():
    """What the first release drew: the same draws in the same order, and the same pictures but for
    the last bits that processors differ in."""
    rng = np.random.default_rng(7)
    drawn = picture(compose(rng), 32, rng)
    assert rng.random() == 0.10300358611778992
    assert np.bincount(drawn["seg"].ravel()).tolist() == pytest.approx([680, 209, 135], abs=2)
    assert drawn["images"].mean() == pytest.approx(143.055, abs=0.01)


def test_difficulties_differ_as_they_say(tmp_path: Path):
    solids, bright = {}, {}
    for name, difficulty in DIFFICULTIES.items():
        scenes = [compose(np.random.default_rng(seed), difficulty) for seed in range(40)]
        counts = {len(scene.solids.shapes) - 1 for scene in scenes}
        assert min(counts) == difficulty.fewest
        assert max(counts) == difficulty.most
        solids[name] = counts
        opened = Scenes(**FEW, difficulty=name).open(tmp_path)
        bright[name] = opened.parts["train"].images[:].mean()
    assert max(solids["easy"]) < min(solids["hard"])
    assert bright["hard"] < bright["normal"]


def test_a_scene_takes_about_a_millisecond():
    for size in (32, 48):
        started = process_time()  # other work on the machine is not counted
        for seed in range(100):
            draw(seed, size)
        milliseconds = (process_time() - started) * 10
        print(f"{milliseconds:.2f} ms per scene of {size} x {size} pixels")
        assert milliseconds < 20
