import os
from pathlib import Path

import pytest

from branchsearch.files import parents_of, whole_folder, write_whole


def test_a_file_is_written_with_the_folders_above_it(tmp_path: Path):
    write_whole(tmp_path / "a" / "b.txt", "Δ")
    assert (tmp_path / "a" / "b.txt").read_text() == "Δ"
    assert list((tmp_path / "a").iterdir()) == [tmp_path / "a" / "b.txt"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "b.txt"
    write_whole(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_above_are_made_and_go_again_when_something_fails(tmp_path: Path):
    with parents_of(tmp_path / "a" / "b" / "c"):
        assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(OSError, match="full"), parents_of(tmp_path / "a" / "x" / "y" / "c"):
        raise OSError("full")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_folders_that_another_uses_meanwhile_stay(tmp_path: Path):
    def fails() -> None:
        (tmp_path / "z" / "theirs").touch()
        raise OSError("full")

    with pytest.raises(OSError, match="full"), parents_of(tmp_path / "z" / "y" / "c"):
        fails()
    assert (tmp_path / "z" / "theirs").exists()


def test_a_folder_is_seen_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "made"
    with whole_folder(path) as work:
        (work / "one").write_text("1")
        assert not path.exists()
    assert [file.name for file in path.iterdir()] == ["one"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_whose_making_fails_is_not_seen(tmp_path: Path):
    def fail() -> None:
        with whole_folder(tmp_path / "made") as work:
            (work / "one").write_text("1")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_has_made_meanwhile_stays(tmp_path: Path):
    path = tmp_path / "made"
    with whole_folder(path) as work:
        (work / "one").write_text("ours")
        with whole_folder(path) as other:
            (other / "one").write_text("theirs")
    assert (path / "one").read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]
