from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.datasets.cells import class_number, finite_or_none, zero_or_one
from branchsearch.datasets.dataset import PARTS
from branchsearch.datasets.findings import Looked, cropped, look, parts
from branchsearch.datasets.image_files import TooManyUnreadable
from branchsearch.datasets.listing import InvalidListing
from branchsearch.datasets.manifest import manifest
from tests.image_files import TASKS, animals, picture, save, write_csv


@pytest.mark.parametrize("cache_mib", [0, 100])
def test_labels_are_counted_where_they_are_not_missing(tmp_path: Path, cache_mib: float):
    path = animals(tmp_path)
    listed = manifest(path=str(path), size=[24, 32], tasks=TASKS, cache_mib=cache_mib)
    rows = list(parts(listed.open(tmp_path / "home")))
    assert [row["part"] for row in rows] == list(PARTS)
    sums = {name: sum(row[name] for row in rows) for name in ("images", *TASKS)}
    assert sums == {
        "images": 40,
        "breed": 32,
        "age": 34,
        "attributes": 40,
        "seg": 26,
        "depth": 40,
    }


def test_a_table_is_told_by_its_columns(tmp_path: Path):
    rows = {row["column"]: row for row in look(animals(tmp_path)).columns}
    assert rows["image"]["looks_like"].startswith("files")
    assert rows["breed"] == {"column": "breed", "filled": 32, "looks_like": "2 names: cat, dog"}
    assert rows["age"]["looks_like"] == "numbers from 0.25 to 9.75: a regression"
    assert rows["furry"]["looks_like"].startswith("0 and 1")
    assert rows["seg"]["filled"] == 26


def looks_like(folder: Path, *cells: object) -> str:
    looked = look(write_csv(folder / "t.csv", [{"a": cell, "b": 1} for cell in cells]))
    return str(looked.columns[0]["looks_like"])


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([None, None], "nothing"),
        ([3, None, 0], "whole numbers up to 3: a class of 4, or a regression"),
        (["3.0", None, "0.0"], "whole numbers up to 3: a class of 4, or a regression"),
        (["1.0", None, "0.0"], "0 and 1: an attribute, or a class of two"),
        (["1", "b", "c"], "3 names: 1, b, c"),
        (
            [1, 2.5, "0,5", 4, "NA", 6, "inf", 8],
            "numbers from 1 to 8: a regression; no finite number in "
            "row 4 '0,5', row 6 'NA', row 8 'inf'",
        ),
    ],
)
def test_what_columns_look_like(tmp_path: Path, cells: list[object], says: str):
    assert looks_like(tmp_path, *cells) == says


def test_of_many_cells_that_are_no_numbers_the_first_are_shown(tmp_path: Path):
    told = looks_like(tmp_path, *range(50), *["NA"] * 37)
    assert told.count("'NA'") == 8
    assert told.endswith("row 59 'NA' and 29 more")


@given(st.text(st.sampled_from("0123.-e"), min_size=1, max_size=5), st.integers(1, 40))
def test_what_looks_like_a_class_can_be_read_as_one(cell: str, classes: int):
    """A table check and a data set agree on every cell."""
    number = finite_or_none(cell)
    try:
        assert class_number(classes)(cell) == number
    except ValueError:
        assert number not in range(classes)
    try:
        assert zero_or_one(cell) == number
    except ValueError:
        assert number not in (0, 1)


def test_files_that_are_not_there_are_named(tmp_path: Path):
    path = animals(tmp_path, 60)
    for number in range(1, 60):
        (tmp_path / "images" / f"{number}.png").unlink()
    (tmp_path / "depth" / "3.npy").unlink()
    with pytest.raises(InvalidListing) as refused:
        look(path)
    told = str(refused.value)
    assert "row 3, column 'image': no file" in told
    assert "and 39 more" in told
    assert "row 5, column 'depth': no file" in told


def torn(folder: Path, count: int, images: list[int]) -> Looked:
    path = animals(folder, count)
    for number in images:
        (folder / "images" / f"{number}.png").write_bytes(b"torn")
    (folder / "depth" / f"{images[0]}.npy").write_bytes(b"torn")
    return look(path)


def test_torn_files_are_told_beside_the_columns(tmp_path: Path):
    looked = torn(tmp_path, 100, [3])
    assert [row["column"] for row in looked.columns][:2] == ["image", "breed"]
    assert looked.torn.keys() == {"image", "depth"}
    (fault,) = looked.torn["image"].values()
    assert fault.startswith("row 5, column 'image': ")
    assert fault.endswith("images/3.png: is no picture")
    looked.check_torn()


def test_more_torn_rows_than_a_data_set_leaves_out_are_refused(tmp_path: Path):
    looked = torn(tmp_path, 100, [3, 4])
    assert len(looked.columns) == 6
    with pytest.raises(TooManyUnreadable, match=r"2 of 100 rows have torn files, .*0\.01"):
        looked.check_torn()


@pytest.mark.parametrize(
    ("size", "found"),
    [
        (32, {"images": 6, "row": "row 2", "from": (24, 32), "to": (24, 24)}),
        ([24, 64], {"images": 7, "row": "row 5", "from": (24, 24), "to": (9, 24)}),
        ([12, 16], {"images": 1, "row": "row 5", "from": (24, 24), "to": (18, 24)}),
    ],
)
def test_images_of_another_shape_than_the_size_are_counted(
    tmp_path: Path, size: int | list[int], found: dict[str, object]
):
    path = animals(tmp_path, 8)
    save(tmp_path / "images" / "3.png", picture(3, 24, 24))
    (tmp_path / "images" / "4.png").write_bytes(b"torn")
    tasks = {"age": {"kind": "regression"}}
    assert cropped(manifest(path=str(path), size=size, tasks=tasks)) == found


def test_images_of_nearly_the_shape_of_the_size_are_not_cropped(tmp_path: Path):
    tasks = {"age": {"kind": "regression"}}
    data = manifest(path=str(animals(tmp_path, 8)), size=[25, 33], tasks=tasks)
    assert cropped(data) is None
