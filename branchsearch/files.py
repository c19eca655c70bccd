"""Files and folders that appear whole or not at all, whatever kills their writer."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name beside it, then move it into place.

    Raises:
        OSError: With the path; what was there before is untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def parents_of(path: Path) -> Iterator[None]:
    """Make the folders above a path; if the block ends with an error, those made go again."""
    lacking = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # somebody else has put something there
            for folder in lacking:
                folder.rmdir()
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; move it to ``path`` when the block ends without an error.

    When another process has put a folder there meanwhile, that one stays and ours goes.

    Raises:
        OSError: With the path; nothing half-written is at ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield work
        work.chmod(0o755)
        for file in work.rglob("*"):
            if file.is_file():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        try:
            work.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
