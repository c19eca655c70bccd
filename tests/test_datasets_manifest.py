import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import csv, parquet

from branchsearch.datasets.dataset import PARTS, Dataset
from branchsearch.datasets.image_files import ImageFiles, TooManyUnreadable
from branchsearch.datasets.listing import InvalidListing
from branchsearch.datasets.manifest import manifest
from tests.image_files import TASKS, animals, picture, save, write_csv


def opened(path: Path, to: Path, **changes: Any) -> Dataset:  # noqa: ANN401  # any argument
    return listed(path, **changes).open(to)


def listed(path: Path, **changes: Any) -> ImageFiles:  # noqa: ANN401
    arguments: dict[str, Any] = {"path": str(path), "size": [24, 32], "tasks": TASKS}
    return manifest(**{**arguments, **changes})


def by_image(data: Dataset) -> dict[bytes, dict[str, np.ndarray]]:
    """Every image's targets, found by its pixels."""
    return {
        np.asarray(part.images[index]).tobytes(): {
            name: np.asarray(rows[index]) for name, rows in part.targets.items()
        }
        for part in data.parts.values()
        for index in range(len(part))
    }


@pytest.mark.parametrize("cache_mib", [0, 100])
def test_what_is_written_is_what_is_learnt(tmp_path: Path, cache_mib: float):
    data = opened(animals(tmp_path), tmp_path / "home", cache_mib=cache_mib)
    found = by_image(data)
    assert len(found) == 40
    for number in range(40):
        targets = found[picture(number).transpose(2, 0, 1).tobytes()]
        assert targets["breed"] == (-1 if number % 5 == 0 else number % 2)
        assert targets["attributes"].tolist() == [number % 2]
        np.testing.assert_array_equal(targets["age"], [np.nan if number % 7 == 0 else number / 4])
        rng = np.random.default_rng(number)
        seg = rng.integers(0, 3, (24, 32), dtype=np.uint8)
        np.testing.assert_array_equal(targets["seg"], 255 if number % 3 == 0 else seg)
        depth = np.log(rng.uniform(1, 9, (24, 32)).astype(np.float32)).astype(np.float16)
        np.testing.assert_array_equal(targets["depth"][0], depth)


def test_kept_and_decoded_on_the_way_are_the_same(tmp_path: Path):
    path = animals(tmp_path)
    kept, read = (opened(path, tmp_path / str(mib), cache_mib=mib) for mib in (100, 0))
    assert isinstance(kept.parts["train"].images, np.memmap)
    assert not isinstance(read.parts["train"].images, np.ndarray)
    np.testing.assert_allclose(kept.mean, read.mean)
    np.testing.assert_allclose(kept.std, read.std)
    for part in PARTS:
        for name in ("seg", "breed", "depth"):
            one, other = kept.parts[part].targets[name], read.parts[part].targets[name]
            assert (one.shape, one.dtype, len(one)) == (other.shape, other.dtype, len(other))
            np.testing.assert_array_equal(one[:], other[:])
        chosen = np.array([0, 0])
        np.testing.assert_array_equal(
            kept.parts[part].images[chosen], read.parts[part].images[chosen]
        )


@pytest.mark.parametrize("name", ["animals.parquet", "animals.PARQUET", "animals.pq"])
def test_parquet_is_read_as_csv_is(tmp_path: Path, name: str):
    path = animals(tmp_path)
    parquet.write_table(csv.read_csv(path), tmp_path / name)
    one = by_image(opened(path, tmp_path / "a"))
    other = by_image(opened(tmp_path / name, tmp_path / "b"))
    assert one.keys() == other.keys()
    for image, targets in one.items():
        for name, target in targets.items():
            np.testing.assert_array_equal(target, other[image][name])


def test_an_image_keeps_its_part_when_others_come_go_or_are_renamed(tmp_path: Path):
    many, few = listed(animals(tmp_path / "a", 60)), listed(animals(tmp_path / "b", 50))
    first, second = many.open(tmp_path / "home"), few.open(tmp_path / "home")
    parts = {
        image.tobytes(): name for name, part in first.parts.items() for image in part.images[:]
    }
    for name, part in second.parts.items():
        assert {parts[image.tobytes()] for image in part.images[:]} == {name}
    assert sum(many.counts.values()) == 60
    assert many.counts == {name: len(part) for name, part in first.parts.items()}


def test_equal_images_fall_to_one_part(tmp_path: Path):
    rows = [{"image": f"{number}.png", "age": number} for number in range(60)]
    for number in range(60):
        save(tmp_path / f"{number}.png", picture(number % 30))
    path = write_csv(tmp_path / "twins.csv", rows)
    data = opened(path, tmp_path / "home", tasks={"age": {"kind": "regression"}})
    seen = [{image.tobytes() for image in part.images[:]} for part in data.parts.values()]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 30


def named(folder: Path, parts: list[str], images: list[int] | None = None) -> Path:
    images = images or list(range(len(parts)))
    for number in set(images):
        save(folder / f"{number}.png", picture(number))
    rows = [
        {"image": f"{number}.png", "age": 1, "part": part}
        for number, part in zip(images, parts, strict=True)
    ]
    return write_csv(folder / "named.csv", rows)


AGE: dict[str, Any] = {"tasks": {"age": {"kind": "regression"}}, "part": "part"}


def test_a_column_names_parts_and_what_it_leaves_out_comes_from_train(tmp_path: Path):
    parts = ["train"] * 40 + ["validation"] * 3 + ["test"] * 2
    data = opened(named(tmp_path, parts), tmp_path / "home", **AGE)
    assert len(data.parts["validation"]) == 3
    assert len(data.parts["test"]) == 2
    assert 0 < len(data.parts["probe"]) < len(data.parts["train"])


def test_an_image_that_is_named_for_two_parts_is_refused(tmp_path: Path):
    path = named(tmp_path, ["train", "validation", "test", "probe"], [0, 1, 2, 1])
    with pytest.raises(InvalidListing, match=r"row 3 and row 5: the same image, once in valid"):
        listed(path, **AGE).open(tmp_path / "home")


def test_an_empty_part_is_said(tmp_path: Path):
    with pytest.raises(InvalidListing, match=r"no image of 3 falls to"):
        _ = listed(named(tmp_path, ["train"] * 3), **AGE).counts


@pytest.mark.parametrize(
    ("column", "cell", "says"),
    [
        ("image", "", "row 3, column 'image': no path of an image"),
        ("image", "images/nobody.png", "row 3, column 'image': no file .*nobody"),
        (
            "breed",
            "dgo",
            r"row 3, column 'breed': no class 'dgo'; there are cat, dog; did you mean 'dog'\?",
        ),
        ("age", "old", "row 3, column 'age': 'old' is no number"),
        ("age", "inf", "row 3, column 'age': 'inf' is not finite"),
        ("furry", "2", "row 3, column 'furry': '2' is neither 0 nor 1"),
        ("seg", "seg/nobody.png", "row 3, column 'seg': no file"),
    ],
)
def test_a_wrong_cell_is_found_before_anything_is_read(
    tmp_path: Path, column: str, cell: str, says: str
):
    path = animals(tmp_path, 5)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[2][lines[0].index(column)] = cell
    path.write_text("\n".join(map(",".join, lines)))
    with pytest.raises(InvalidListing, match=says):
        listed(path)


@pytest.mark.parametrize("cache_mib", [0, 100])
@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("seg/1.png", np.full((24, 32), 3, np.uint8), "'seg'.*class 3, but there are 3 classes"),
        ("seg/1.png", np.zeros((24, 24), np.uint8), "'seg'.*24 x 24 pixels does not lie over"),
        ("seg/1.png", picture(0), r"'seg'.*one number per pixel, not an array of \(24, 32, 3\)"),
        ("depth/1.npy", np.ones((24, 32), complex), "'depth'.*holds complex128, no numbers"),
        ("depth/1.npy", np.zeros((24, 32)), "'depth'.*0 or less has no logarithm"),
        ("depth/1.npy", np.full((24, 32), 1e5), "'depth'.*more than 65504; give a unit"),
        ("depth/1.npy", np.zeros((24, 32, 5)), "'depth'.*one number per pixel"),
    ],
)
def test_a_map_that_is_wrong_is_an_error_with_row_and_column(
    tmp_path: Path, name: str, array: np.ndarray, says: str, cache_mib: float
):
    path = animals(tmp_path)
    save(tmp_path / name, array)
    with pytest.raises(InvalidListing, match=f"row 3, column {says}"):
        opened(path, tmp_path / "home", cache_mib=cache_mib)


@pytest.mark.parametrize("cache_mib", [0, 100])
@pytest.mark.parametrize("torn", ["images/3.png", "seg/4.png", "depth/3.npy"])
def test_a_torn_file_is_named_counted_and_left_out(
    tmp_path: Path, torn: str, cache_mib: float, caplog: pytest.LogCaptureFixture
):
    path = animals(tmp_path)
    content = (tmp_path / torn).read_bytes()
    (tmp_path / torn).write_bytes(content[: len(content) // 2])
    with pytest.raises(TooManyUnreadable, match=f"1 of 40 rows cannot be read.*\n.*{torn}"):
        opened(path, tmp_path / "home", unreadable=0.02, cache_mib=cache_mib)
    with caplog.at_level(logging.WARNING):
        data = opened(path, tmp_path / "home", unreadable=0.03, cache_mib=cache_mib)
    assert sum(map(len, data.parts.values())) == 39
    assert len(data.skipped) == 1
    column = torn.partition("/")[0].removesuffix("s")
    row = int(Path(torn).stem) + 2
    assert data.skipped[0].startswith(f"{path}: row {row}, column {column!r}: {tmp_path / torn}: ")
    assert f"{path}: left out 1 of 40 images" in caplog.text
    assert f"row {row}, column {column!r}" in caplog.text


def test_a_file_that_changed_is_read_again(tmp_path: Path):
    path = animals(tmp_path)
    before = listed(path)
    first = before.open(tmp_path / "home")
    save(tmp_path / "seg" / "1.png", np.zeros((24, 32), np.uint8))
    after = listed(path)
    assert after.content != before.content
    assert after.open(tmp_path / "home").fingerprint != first.fingerprint
    assert listed(path).content == after.content


@pytest.mark.parametrize("number", [0.5, -0.5, np.inf])
def test_a_class_that_is_no_whole_number_is_refused(tmp_path: Path, number: float):
    rows = []
    for row in range(4):
        save(tmp_path / f"{row}.png", picture(row))
        save(tmp_path / f"{row}.npy", np.full((24, 32), number if row == 2 else 1.0))
        rows.append({"image": f"{row}.png", "seg": f"{row}.npy"})
    path = write_csv(tmp_path / "odd.csv", rows)
    tasks = {"seg": {"kind": "segmentation", "classes": 2}}
    with pytest.raises(InvalidListing, match=f"row 4, column 'seg'.*class {number:g}; classes are"):
        opened(path, tmp_path / "home", tasks=tasks, shares=dict.fromkeys(PARTS, 0.25))


def test_maps_that_are_to_be_read_otherwise_are_read_again(tmp_path: Path):
    path, seen = animals(tmp_path), []
    for unit in (1.0, 0.5):
        depth = {"kind": "depth", "unit": unit}
        data = opened(path, tmp_path / "home", tasks={"depth": depth})
        seen.append(data.parts["train"].targets["depth"][:].astype(np.float32))
    np.testing.assert_allclose(seen[1], seen[0] / 2, rtol=1e-3)


def test_parts_without_a_label_are_told_but_for_the_probe_images(tmp_path: Path):
    rows = []
    for number, part in enumerate(["train", "validation", "test", "probe"] * 2):
        save(tmp_path / f"{number}.png", picture(number))
        age = number if part == "train" else None
        rows.append({"image": f"{number}.png", "part": part, "age": age, "height": number})
    tasks = {name: {"kind": "regression"} for name in ("age", "height")}
    found = listed(write_csv(tmp_path / "few.csv", rows), tasks=tasks, part="part")
    assert found.without("age") == ["validation", "test"]
    assert found.without("height") == []


def test_images_and_maps_are_cut_and_resized_alike(tmp_path: Path):
    """Blocks of a map that are the image's own: every pixel of it still agrees with the image."""
    rng = np.random.default_rng(0)
    rows, middles = [], set()
    for number in range(60):
        grey = rng.integers(0, 4, (6, 12), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
        save(tmp_path / f"{number}.png", np.stack([grey * 60] * 3, axis=2))
        save(tmp_path / f"{number}-small.png", grey[::4, ::4])
        middles.add(grey[1::2, 49:144:2].tobytes())
        rows.append({"image": f"{number}.png", "seg": f"{number}-small.png"})
    path = write_csv(tmp_path / "blocks.csv", rows)
    tasks = {"seg": {"kind": "segmentation", "classes": 4}}
    data = opened(path, tmp_path / "home", size=48, tasks=tasks)
    part = data.parts["train"]
    apart = np.abs(part.images[:, 0].astype(int) - 60 * part.targets["seg"][:].astype(int))
    assert (apart < 8).mean() > 0.7
    assert (apart[:, 3:5, 3:5] < 8).all()  # inside the first block
    assert all(np.asarray(seg).tobytes() in middles for seg in part.targets["seg"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"path": "animals.csv"}, "must be an absolute path"),
        ({"path": "/nowhere/at-all.csv"}, "there is no file"),
        ({"size": [8, 8, 8]}, "size is one number"),
        ({"size": 4}, "at least 8 pixels"),
        ({"tasks": {}}, "at least one"),
        ({"tasks": {"x": {"kind": "poses"}}}, "task 'x': no kind 'poses'"),
        ({"tasks": {"x": {"kind": "segmentation"}}}, "task 'x': segmentation needs its classes"),
        ({"tasks": {"x": {"kind": "depth", "classes": 3}}}, "takes no classes"),
        (
            {"tasks": {"x": {"kind": "depth", "colour": 3}}},
            "takes no 'colour'; it takes kind, column, columns, classes",
        ),
        (
            {"tasks": {"x": {"kind": "depth", "colum": "mask"}}},
            r"takes no 'colum'; .*did you mean 'column'\?",
        ),
        ({"tasks": {"x": {"kind": "dept"}}}, r"no kind 'dept'; .*did you mean 'depth'\?"),
        ({"tasks": {"bred": {"kind": "depth"}}}, r"no column 'bred'; .*did you mean 'breed'\?"),
        ({"tasks": {"x": {"kind": "depth"}}}, "no column 'x'; there are 'image', 'breed'"),
        ({"shares": {"train": 1}}, "shares are needed for"),
        (
            {"shares": {"trian": 0.7, "validation": 0.1, "test": 0.1, "probe": 0.1}},
            r"no part 'trian'; there are train, .*did you mean 'train'\?",
        ),
        (
            {"shares": {"train": 0.9, "validation": 0.15, "test": 0.15, "probe": 0.1}},
            r"must add up to 1, and these add up to 1\.3$",
        ),
        (
            {"shares": {"train": 1, "validation": 0.1, "test": -0.2, "probe": 0.1}},
            "the share of test must be positive",
        ),
        ({"unreadable": 1}, "unreadable must be in"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_named(
    tmp_path: Path, changes: dict[str, Any], says: str
):
    path = animals(tmp_path, 3)
    arguments: dict[str, Any] = {"path": str(path), "size": 24, "tasks": TASKS}
    with pytest.raises(ValueError, match=says):
        manifest(**{**arguments, **changes})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,age\na.png\n", "row 2: 1 cells under 2 names"),
        ("image,image\n", "two columns are named 'image'"),
        ('image,age\n"a.png,1\n', "not CSV"),
        ("", "it is empty"),
        ("image,age\n", "no images"),
        ("image;age\n0.png;0,5\n", "row 1: cells seem to be separated by ';'; use commas"),
        ("image\tage\n", r"row 1: cells seem to be separated by '\\t'; use commas"),
    ],
)
def test_a_table_that_is_none_is_said(tmp_path: Path, text: str, says: str):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(InvalidListing, match=says):
        listed(tmp_path / "bad.csv", tasks={"age": {"kind": "regression"}})


def test_parquet_that_is_none_is_said(tmp_path: Path):
    (tmp_path / "bad.parquet").write_text("image\n")
    with pytest.raises(InvalidListing, match="not Parquet"):
        listed(tmp_path / "bad.parquet")


def test_cells_of_parquet_may_be_numbers_with_gaps(tmp_path: Path):
    save(tmp_path / "0.png", picture(0))
    rows = {"image": ["0.png"] * 3, "breed": [1.0, None, 0.0], "furry": [True, False, None]}
    parquet.write_table(pa.table(rows), tmp_path / "gaps.parquet")
    tasks = {
        "breed": {"kind": "classification", "classes": 2},
        "furry": {"kind": "attributes"},
    }
    labels = listed(tmp_path / "gaps.parquet", tasks=tasks).listing.labels
    assert labels["breed"].array.tolist() == [1, -1, 0]
    np.testing.assert_array_equal(labels["furry"].array[:, 0], [1, 0, np.nan])


def test_cells_of_csv_may_be_whole_numbers_with_a_point(tmp_path: Path):
    save(tmp_path / "0.png", picture(0))
    rows = [
        {"image": "0.png", "breed": number, "year": year, "furry": furry}
        for number, year, furry in [("1.0", "7.0", "1.0"), ("", "", ""), ("0", "8", "0.0")]
    ]
    tasks = {
        "breed": {"kind": "classification", "classes": 2},
        "year": {"kind": "classification", "classes": [8, 7]},
        "furry": {"kind": "attributes"},
    }
    labels = listed(write_csv(tmp_path / "gaps.csv", rows), tasks=tasks).listing.labels
    assert labels["breed"].array.tolist() == [1, -1, 0]
    assert labels["year"].array.tolist() == [1, -1, 0]
    np.testing.assert_array_equal(labels["furry"].array[:, 0], [1, np.nan, 0])


@pytest.mark.parametrize("cell", ["0.5", "-1", "2.0", "nan", "one"])
def test_cells_that_are_no_class_number_are_refused(tmp_path: Path, cell: str):
    save(tmp_path / "0.png", picture(0))
    path = write_csv(tmp_path / "odd.csv", [{"image": "0.png", "breed": cell}])
    with pytest.raises(InvalidListing, match=f"{cell}' is no class number from 0 to 1"):
        listed(path, tasks={"breed": {"kind": "classification", "classes": 2}})
    with pytest.raises(InvalidListing, match=f"{cell}' is neither 0 nor 1"):
        listed(path, tasks={"breed": {"kind": "attributes"}})


def test_faults_of_all_columns_are_said_at_once(tmp_path: Path):
    path = animals(tmp_path, 60)
    for number in (1, 4):
        (tmp_path / "seg" / f"{number}.png").unlink()
    text = path.read_text().replace("cat", "cow").replace("images/7.png", "images/none.png")
    path.write_text(text.replace("furry", "hairy"))
    with pytest.raises(InvalidListing) as refused:
        listed(path)
    told = str(refused.value).splitlines()
    assert sum("no class 'cow'" in line for line in told) == 20
    assert f"{path}: ... and 4 more like the last" in told
    assert sum("no column 'furry'" in line for line in told) == 1
    assert sum("column 'seg': no file" in line for line in told) == 2
    assert sum("column 'image': no file" in line for line in told) == 1
    assert len(told) == 25
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


def test_faults_of_all_maps_are_said_at_once(tmp_path: Path):
    path = animals(tmp_path, 40)
    for number in range(1, 40):
        save(tmp_path / "seg" / f"{number}.png", np.full((24, 32), 3, np.uint8))
    save(tmp_path / "depth" / "1.npy", np.zeros((24, 32)))
    with pytest.raises(InvalidListing) as refused:
        opened(path, tmp_path / "home")
    told = str(refused.value).splitlines()
    assert sum("column 'seg'" in line and "class 3" in line for line in told) == 20
    assert sum("row 3, column 'depth'" in line for line in told) == 1


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_pictures_of_every_mode_become_rgb(tmp_path: Path, mode: str):
    ending = "jpg" if mode == "CMYK" else "png"
    rows = []
    for number in range(40):
        name = f"{number}.{ending}"
        Image.fromarray(picture(number)).convert(mode).save(tmp_path / name)
        rows.append({"image": name, "age": 1})
    path = write_csv(tmp_path / "modes.csv", rows)
    tasks = {"age": {"kind": "regression"}}
    data = opened(path, tmp_path / "home", tasks=tasks, shares=dict.fromkeys(PARTS, 0.25))
    assert data.parts["train"].images.shape[1:] == (3, 24, 32)


def test_pictures_of_16_bits_are_refused(tmp_path: Path):
    save(tmp_path / "0.png", np.full((24, 32), 5000, np.uint16))
    path = write_csv(tmp_path / "deep.csv", [{"image": "0.png", "age": 1}])
    with pytest.raises(InvalidListing, match="more than 8 bits"):
        opened(path, tmp_path / "home", tasks={"age": {"kind": "regression"}})
