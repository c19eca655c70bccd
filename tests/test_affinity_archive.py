import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from branchsearch.affinity.archive import read_archive
from branchsearch.affinity.evidence import gram
from branchsearch.affinity.features import NotComparable

CPU = torch.device("cpu")


def arrays(images: int = 6) -> dict[str, np.ndarray]:
    """Two stages of two tasks: maps, then vectors."""
    draw = np.random.default_rng(0)
    shapes = {"0": (images, 2, 3, 3), "1": (images, 5)}
    return {
        f"{stage}/{task}": draw.normal(size=shape)
        for stage, shape in shapes.items()
        for task in ("seg", "depth/near")
    }


def written(path: Path, content: dict[str, np.ndarray]) -> Path:
    np.savez(path, **content)
    return path


def test_every_stage_and_task_is_read_maps_flattened(tmp_path: Path):
    content = arrays()
    tasks, grams = read_archive(written(tmp_path / "f.npz", content), device=CPU)
    assert tasks == ("depth/near", "seg")
    assert [[one.columns for one in row] for row in grams] == [[18, 18], [5, 5]]
    expected = gram(torch.from_numpy(content["0/seg"]).flatten(1)).products
    assert torch.equal(grams[0][1].products, expected)
    assert grams[1][0].source == "depth/near at stage 1"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32, np.uint8])
def test_numbers_of_any_kind_are_taken(tmp_path: Path, dtype: type):
    content = {name: (10 * array + 50).astype(dtype) for name, array in arrays().items()}
    _, grams = read_archive(written(tmp_path / "f.npz", content), device=CPU)
    assert grams[0][0].images == 6


def test_the_same_images_may_be_named(tmp_path: Path):
    names = np.array([f"{n}.png" for n in range(6)])
    content = {**arrays(), "images/seg": names, "images/depth/near": names}
    read_archive(written(tmp_path / "f.npz", content), device=CPU)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"images/seg": np.arange(6), "images/depth/near": np.arange(6)[::-1]}, "'seg' saw differ"),
        ({"1/seg": np.ones((7, 5)) + np.arange(5)}, "seg at stage 1 has features of 7 images"),
        ({"1/normals": np.ones((6, 5))}, "lacks '0/normals'"),
        ({"3/seg": np.ones((6, 5))}, "lacks '2/depth/near'"),
        ({"seg": np.ones((6, 5))}, "no array is called 'seg', but '<stage>/<task>'"),
        ({"1/seg": np.arange(6)}, "'1/seg' is no array of numbers"),
        ({"1/seg": np.array([["a", "b"]] * 6)}, "'1/seg' is no array of numbers"),
        ({"1/seg": np.array([[None]] * 6)}, "allow_pickle=False"),
        ({"0/seg": np.full((6, 5), np.nan)}, "seg at stage 0: features of images"),
        ({"images/seg": np.arange(5)}, "'images/seg' has the shape (5,), and names 6 images"),
        ({"0/a+b": np.ones((6, 5)), "1/a+b": np.ones((6, 5))}, "holds no blank, '+'"),
    ],
)
def test_what_cannot_be_compared_is_named(tmp_path: Path, change: dict[str, np.ndarray], told: str):
    path = written(tmp_path / "f.npz", {**arrays(), **change})
    with pytest.raises(NotComparable) as raised:
        read_archive(path, device=CPU)
    assert told in str(raised.value)
    assert str(raised.value).startswith(f"{path}: ")


def test_damaged_archives_are_named(tmp_path: Path):
    foreign = written(tmp_path / "foreign.npz", arrays())
    with zipfile.ZipFile(foreign, "a") as archive:
        archive.writestr("1/other", "no array")
        archive.writestr("0/other", "no array")
    damaged = tmp_path / "damaged.npz"
    np.savez_compressed(damaged, **arrays())
    content = bytearray(damaged.read_bytes())
    content[200:210] = bytes(10)
    damaged.write_bytes(content)
    for path in (foreign, damaged):
        with pytest.raises(NotComparable, match=re.escape(f"{path}: ")):
            read_archive(path, device=CPU)


def test_two_images_one_task_and_no_archive_are_refused(tmp_path: Path):
    few = written(tmp_path / "few.npz", arrays(images=2))
    one = written(tmp_path / "one.npz", {"0/seg": np.ones((6, 5))})
    single = tmp_path / "single.npz"
    with single.open("wb") as file:
        np.save(file, np.ones(3))
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    cut = tmp_path / "cut.npz"
    cut.write_bytes(few.read_bytes()[:100])
    empty = written(tmp_path / "empty.npz", {})
    for path, told in [
        (few, "at least 3 probe images, got 2"),
        (one, "features of 1 tasks"),
        (empty, "features of 0 tasks"),
        (single, "is no .npz file"),
        (text, "is no .npz file"),
        (cut, "is no .npz file"),
    ]:
        with pytest.raises(NotComparable, match=told):
            read_archive(path, device=CPU)
    with pytest.raises(FileNotFoundError):
        read_archive(tmp_path / "nowhere.npz", device=CPU)
