"""Several workers read one data set: they map the same files, and none has a copy of its own."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from branchsearch.datasets.dataset import PARTS
from branchsearch.jobs.training import open_dataset
from branchsearch.search.engine import Engine
from branchsearch.search.source import Work

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]

SCENES = ("scenes", {"size": 32, "train": 256, "validation": 32, "test": 32, "probe": 8, "seed": 0})


def read_all(home: Path) -> Iterator[Mapping[str, Any]]:
    """Touch every byte of the data set, and say what the system knows of its files' memory."""
    dataset = open_dataset(SCENES, home)
    arrays = [
        array
        for part in PARTS
        for array in (dataset.parts[part].images, *dataset.parts[part].targets.values())
    ]
    touched = sum(int(array.view("u1").sum()) for array in arrays)
    mapped = _mapped(str(home / "datasets"))
    size = sum(array.nbytes for array in arrays)
    yield {"process": os.getpid(), "touched": touched, "size": size, **mapped}


def _mapped(folder: str) -> dict[str, int]:
    """Bytes of this process's memory that are of files in a folder: all, and those of its own."""
    found, counts = {"Rss": 0, "Anonymous": 0, "Private_Dirty": 0}, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            counts = folder in line
        elif counts and name[:-1] in found:
            found[name[:-1]] += 1024 * int(rest[0])
    return found


def test_workers_map_the_data_sets_files_and_copy_none_of_them(tmp_path: Path):
    open_dataset(SCENES, tmp_path)  # the driver writes it
    with Engine(workers=2, cpus=1, gpus=0, retries=0, folder=tmp_path / "engine") as engine:
        said = engine.run_all([Work(str(number), tmp_path) for number in range(4)], read_all)
    assert {report["touched"] for report in said.values()} == {said["0"]["touched"]}
    for report in said.values():
        assert report["Rss"] >= report["size"] > 3 * 2**20
        assert report["Anonymous"] == report["Private_Dirty"] == 0
    assert len({report["process"] for report in said.values()}) <= 2
