import os
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from branchsearch.datasets.dataset import PARTS, Dataset, Label
from branchsearch.datasets.store import stored

LABELS = {"depth": Label("depth")}
COUNTS = dict(zip(PARTS, (4, 3, 2, 1), strict=True))


def draw(part: str, index: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([PARTS.index(part), index])
    return {
        "images": rng.integers(0, 256, (3, 5, 6), dtype=np.uint8),
        "depth": rng.random((1, 5, 6)).astype(np.float16),
    }


def never(part: str, index: int) -> dict[str, np.ndarray]:
    raise AssertionError(f"{part} {index} is drawn though it is on disk")


def killed_at(part: str, index: int) -> Callable[[str, int], dict[str, np.ndarray]]:
    def draw_or_die(now: str, at: int) -> dict[str, np.ndarray]:
        if (now, at) == (part, index):
            os.kill(os.getpid(), signal.SIGKILL)
        return draw(now, at)

    return draw_or_die


def fingerprint(folder: Path) -> str:
    return stored(folder, LABELS, COUNTS, draw).fingerprint


def assert_whole(data: Dataset) -> None:
    for part in PARTS:
        assert len(data.parts[part]) == COUNTS[part]
        for index in range(COUNTS[part]):
            expected = draw(part, index)
            np.testing.assert_array_equal(data.parts[part].images[index], expected["images"])
            np.testing.assert_array_equal(
                data.parts[part].targets["depth"][index], expected["depth"]
            )


def test_what_is_drawn_is_what_is_read(tmp_path: Path):
    assert_whole(stored(tmp_path / "data", LABELS, COUNTS, draw))


def test_a_second_opening_maps_what_the_first_wrote(tmp_path: Path):
    first = stored(tmp_path / "data", LABELS, COUNTS, draw)
    second = stored(tmp_path / "data", LABELS, COUNTS, never)
    assert_whole(second)
    assert isinstance(second.mean, tuple)
    assert (first.fingerprint, first.mean, first.std) == (
        second.fingerprint,
        second.mean,
        second.std,
    )
    for part in second.parts.values():
        for array in (part.images, *part.targets.values()):
            assert isinstance(array, np.memmap)
            assert not array.flags.writeable


@pytest.mark.parametrize(("part", "index"), [("train", 0), ("train", 3), ("probe", 0)])
def test_a_killed_writer_leaves_nothing_that_is_taken_for_whole(
    tmp_path: Path, part: str, index: int
):
    folder = tmp_path / "data"
    writer = get_context("fork").Process(
        target=stored, args=(folder, LABELS, COUNTS, killed_at(part, index))
    )
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    assert list(tmp_path.iterdir())  # it had begun
    assert not folder.exists()
    assert_whole(stored(folder, LABELS, COUNTS, draw))


def test_whoever_loses_the_race_uses_the_winners_result(tmp_path: Path):
    folder, raced = tmp_path / "data", []

    def draw_late(part: str, index: int) -> dict[str, np.ndarray]:
        if not raced:
            raced.append(fingerprint(folder))
        return draw(part, index)

    assert stored(folder, LABELS, COUNTS, draw_late).fingerprint == raced[0]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_error_while_drawing_reaches_the_caller_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(AssertionError, match="train 0"):
        stored(tmp_path / "data", LABELS, COUNTS, never)
    assert not list(tmp_path.iterdir())


def test_the_fingerprint_changes_with_one_value_of_one_target(tmp_path: Path):
    def draw_other(part: str, index: int) -> dict[str, np.ndarray]:
        drawn = draw(part, index)
        if (part, index) == ("probe", 0):
            drawn["depth"][0, 4, 5] += 1
        return drawn

    other = stored(tmp_path / "other", LABELS, COUNTS, draw_other)
    assert other.fingerprint != fingerprint(tmp_path / "data")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=str(tmp_path / "file")):
        stored(tmp_path / "file" / "data", LABELS, COUNTS, draw)


def test_a_full_disk_reaches_the_caller_with_the_path_and_leaves_nothing(tmp_path: Path):
    """A limit on file sizes, in a process of its own, stands in for the disk."""
    program = f"""
import resource, sys
from pathlib import Path
from branchsearch.datasets.scenes import Scenes
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    Scenes(size=32, train=40, validation=1, test=1, probe=1, seed=0).open(Path({str(tmp_path)!r}))
except OSError as error:
    print(error.filename)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(tmp_path / "scenes-v"))
    assert not list(tmp_path.iterdir())


def test_a_cut_off_array_is_refused(tmp_path: Path):
    stored(tmp_path / "data", LABELS, COUNTS, draw)
    images = tmp_path / "data" / "test" / "images.npy"
    images.write_bytes(images.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"mmap|size"):
        stored(tmp_path / "data", LABELS, COUNTS, draw)
