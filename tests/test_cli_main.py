import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from branchsearch.cli.main import EXIT_CODES, exit_code, in_words, main
from branchsearch.jobs.job import JobNotFound


@pytest.mark.parametrize("name", EXIT_CODES)
def test_every_error_that_has_a_code_exists(name: str):
    assert issubclass(resolve_name(name), Exception)


def test_an_error_has_the_code_of_its_nearest_kind():
    assert exit_code(JobNotFound("x")) == 3
    assert exit_code(PermissionError("x")) == 1
    assert exit_code(ZeroDivisionError()) is None


def test_a_file_that_the_system_refuses_is_named_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("")
    to = tmp_path / "file" / "tree.svg"
    monkeypatch.setattr(sys, "argv", ["branchsearch", "draw", "a+b > a,b", "--to", str(to)])
    with pytest.raises(SystemExit, match="1"):
        main()
    told = capsys.readouterr().err
    assert told.startswith(f"branchsearch: cannot read or write {tmp_path / 'file'}: ")
    assert "Errno" not in told


def test_what_an_error_says_itself_is_left_as_it_is():
    assert in_words(OSError("nothing can be written there")) == "nothing can be written there"
    moved = FileNotFoundError(2, "No such file or directory", "a", None, "b")
    assert in_words(moved) == "cannot read or write a or b: No such file or directory"
