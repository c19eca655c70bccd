"""Published layouts; that every data set keeps its promises is in ``tests/contracts``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from branchsearch import catalog
from branchsearch.datasets.cityscapes import cityscapes, read_depth
from branchsearch.datasets.dataset import Dataset
from branchsearch.datasets.image_files import ImageFiles, TooManyUnreadable
from branchsearch.datasets.listing import InvalidListing
from branchsearch.datasets.pascal_context import pascal_context, read_edges, read_parts
from tests import layouts

SAME: dict[str, Any] = {
    "shares": {"train": 6 / 11, "validation": 2 / 11, "test": 1 / 11, "probe": 2 / 11}
}


def opened(name: str, tmp_path: Path) -> Dataset:
    folder = layouts.WRITERS[name](tmp_path / name)
    height, width = (32, 24) if name == "celeba" else (24, 32)
    make: Callable[..., ImageFiles] = catalog.find("dataset", name)
    return make(folder=str(folder), size=[height, width], **SAME).open(tmp_path / "home")


def test_nyud(tmp_path: Path):
    data = opened("nyud", tmp_path)
    assert set(data.labels) == {"seg", "depth", "normals", "edges"}
    test = data.parts["test"]
    assert len(test) == layouts.VAL
    rng = np.random.default_rng(layouts.TRAIN)  # the first of val
    classes = rng.integers(0, 41, (24, 32), dtype=np.uint8)
    np.testing.assert_array_equal(test.targets["seg"][0], np.where(classes == 0, 255, classes - 1))
    depth = rng.uniform(1, 9, (24, 32)).astype(np.float16)
    np.testing.assert_allclose(test.targets["depth"][0, 0, 1:], depth[1:], rtol=1e-3)
    assert np.isnan(test.targets["depth"][0, 0, 0]).all()
    assert set(np.unique(test.targets["edges"][:])) == {0, 1}


def test_pascal_context(tmp_path: Path):
    data = opened("pascal_context", tmp_path)
    assert set(data.labels) == {"seg", "parts", "normals", "saliency", "edges"}
    test = data.parts["test"]
    assert (test.targets["parts"][0] == 255).all()  # the first of val has no file
    parts = test.targets["parts"][1]
    assert (parts[:12, :8] == 1).all()
    assert (parts[12:, :8] == 6).all()
    assert (parts[:, 8:] == 0).all()
    edge_columns = test.targets["edges"][0, 0].all(axis=0)
    assert edge_columns.nonzero()[0].tolist() == [15, 16]
    assert (test.targets["seg"][:, 0] == 255).all()
    lengths = np.linalg.norm(test.targets["normals"][:].astype(float), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=2e-3)


def test_cityscapes(tmp_path: Path):
    folder = layouts.cityscapes(tmp_path / "city")
    near, far = (
        cityscapes(folder=str(folder), size=[24, 32], farthest=farthest, **SAME)
        for farthest in (10, 80)
    )
    assert near.content != far.content  # or what is kept of one would be taken for the other
    test = far.open(tmp_path / "home").parts["test"]
    rng = np.random.default_rng(layouts.TRAIN)
    ids = rng.integers(0, 34, (24, 32), dtype=np.uint8)
    seen = test.targets["seg"][0]
    for number, of_class in {7: 0, 13: 4, 26: 13, 33: 18, 0: 255, 9: 255, 30: 255}.items():
        assert (seen[ids == number] == of_class).all()
    disparity = rng.integers(2, 2**15, (24, 32)).astype(np.uint16)
    depth = 0.2 * 2000 / ((disparity[1:] - 1.0) / 256)
    assert 0 < (depth > 80).sum() < depth.size / 10
    depth[depth > 80] = np.nan
    np.testing.assert_allclose(test.targets["depth"][0, 0, 1:], depth, rtol=2e-3)
    assert np.isnan(test.targets["depth"][:, 0, 0]).all()
    closer = near.open(tmp_path / "home").parts["test"].targets["depth"]
    assert np.nanmax(closer[:]) <= 10 < np.nanmax(test.targets["depth"][:])
    with pytest.raises(ValueError, match=r"farthest must be in \(0, 65504\] metres, got 0"):
        cityscapes(folder=str(folder), size=24, farthest=0)


def test_taskonomy(tmp_path: Path):
    data = opened("taskonomy", tmp_path)
    assert set(data.labels) == {"seg", "depth", "normals", "edges"}
    assert len(data.parts["validation"]) == len(data.parts["test"]) == layouts.VAL
    test = data.parts["test"]
    depth = np.random.default_rng([2, 0]).integers(512, 5120, (24, 32))[1:] / 512
    np.testing.assert_allclose(test.targets["depth"][0, 0, 1:], depth, rtol=1e-3)
    assert np.isnan(test.targets["depth"][:, 0, 0]).all()
    assert np.isfinite(test.targets["normals"][:]).all()


def test_celeba(tmp_path: Path):
    data = opened("celeba", tmp_path)
    assert set(data.labels) == {"Male", "Smiling", "Young", "attributes", "landmarks"}
    assert len(data.parts["validation"]) == len(data.parts["test"]) == layouts.VAL
    test, number = data.parts["test"], layouts.TRAIN + layouts.VAL
    rng = np.random.default_rng(number)
    signs, points = rng.choice([-1, 1], 3), rng.integers(4, 20, 10).reshape(5, 2)
    assert test.targets["attributes"][0].tolist() == (signs > 0).tolist()
    assert test.targets["Young"][0].tolist() == [signs[2] > 0]
    for heat, (x, y) in zip(test.targets["landmarks"][0], points, strict=True):
        assert np.unravel_index(heat.argmax(), heat.shape) == (y, x)


def test_labels_that_were_not_downloaded_are_not_there(tmp_path: Path):
    folder = layouts.cityscapes(tmp_path / "city")
    for path in folder.glob("disparity/*/*/*.png"):
        path.unlink()
    assert set(cityscapes(folder=str(folder), size=24).labels) == {"seg"}


@pytest.mark.parametrize("name", layouts.WRITERS)
def test_a_folder_that_is_another_is_refused(tmp_path: Path, name: str):
    make: Callable[..., ImageFiles] = catalog.find("dataset", name)
    (tmp_path / "Img").mkdir()
    with pytest.raises(InvalidListing, match=str(tmp_path)):
        make(folder=str(tmp_path), size=24)


def test_a_missing_image_is_named(tmp_path: Path):
    folder = layouts.pascal_context(tmp_path / "context")
    (folder / "JPEGImages" / "2008_000003.jpg").unlink()
    with pytest.raises(InvalidListing, match=r"image '2008_000003', column 'image': no file"):
        pascal_context(folder=str(folder), size=24)


@pytest.mark.parametrize("torn", ["human_parts/2008_000003.mat", "sal_distill/2008_000003.png"])
def test_a_torn_label_is_named(tmp_path: Path, torn: str):
    folder = layouts.pascal_context(tmp_path / "context")
    content = (folder / torn).read_bytes()
    (folder / torn).write_bytes(content[: len(content) // 2])
    with pytest.raises(TooManyUnreadable, match=torn):
        pascal_context(folder=str(folder), size=24, **SAME).open(tmp_path / "home")


def test_readers_say_what_is_missing(tmp_path: Path):
    folder = layouts.pascal_context(tmp_path / "context")
    edges, parts = (
        folder / place / "2008_000001.mat" for place in ("pascal-context/trainval", "human_parts")
    )
    with pytest.raises(OSError, match="no annotation of parts"):
        read_parts(edges)
    with pytest.raises(OSError, match="no LabelMap"):
        read_edges(parts)
    city = layouts.cityscapes(tmp_path / "city")
    disparity = next(city.glob("disparity/train/*/*.png"))
    next(city.glob(f"camera/train/*/{disparity.name.removesuffix('_disparity.png')}*")).unlink()
    with pytest.raises(OSError, match="is no camera"):
        read_depth(disparity, farthest=80)
