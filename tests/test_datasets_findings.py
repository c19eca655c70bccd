from pathlib import Path

import pytest

from branchsearch.datasets.dataset import PARTS
from branchsearch.datasets.findings import columns, parts
from branchsearch.datasets.listing import InvalidListing
from branchsearch.datasets.manifest import manifest
from tests.image_files import TASKS, animals, write_csv


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
    rows = {row["column"]: row for row in columns(animals(tmp_path))}
    assert rows["image"]["looks_like"].startswith("files")
    assert rows["breed"] == {"column": "breed", "filled": 32, "looks_like": "2 names: cat, dog"}
    assert rows["age"]["looks_like"] == "numbers from 0.25 to 9.75: a regression"
    assert rows["furry"]["looks_like"].startswith("0 and 1")
    assert rows["seg"]["filled"] == 26


def test_columns_of_nothing_and_of_whole_numbers(tmp_path: Path):
    path = write_csv(tmp_path / "t.csv", [{"a": None, "b": 3}, {"a": None, "b": 0}])
    looks = [row["looks_like"] for row in columns(path)]
    assert looks == ["nothing", "whole numbers up to 3: a class of 4, or a regression"]


def test_files_that_are_not_there_or_torn_are_named(tmp_path: Path):
    path = animals(tmp_path, 6)
    (tmp_path / "images" / "2.png").unlink()
    (tmp_path / "depth" / "3.npy").write_bytes(b"torn")
    with pytest.raises(InvalidListing) as refused:
        list(columns(path))
    told = str(refused.value)
    assert "row 4, column 'image': no file" in told
    assert "row 5, column 'depth'" in told
    assert "cannot be read" in told
