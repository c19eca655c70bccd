"""``SHA256SUMS``: the checksums of an exported folder's files, as ``sha256sum -c`` reads them.

The list is written in one way only. So not a byte of it can change, either, without being found.
"""

from hashlib import file_digest
from pathlib import Path

SUMS = "SHA256SUMS"

#: What using a folder leaves in it.
LEFTOVERS = {"__pycache__", ".mypy_cache", ".ruff_cache"}


class Damaged(ValueError):
    """An exported folder is not as it was written."""


def sums(folder: Path) -> str:
    """The list of every other file, by name."""
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    return "".join(f"{_digest(folder / name)}  {name}\n" for name in names)


def check_sums(folder: Path) -> list[str]:
    """See that every file is as it was written.

    Returns:
        The names of the files checked, ``SHA256SUMS`` among them.

    Raises:
        Damaged: With every file that has changed, is missing, or came later.
    """
    try:
        written = (folder / SUMS).read_bytes().decode()
        listed = dict(_parted(line) for line in written.splitlines())
    except (OSError, ValueError) as error:
        raise Damaged(f"{folder / SUMS} cannot be read as a list of checksums: {error}") from error
    canonical = "".join(f"{listed[name]}  {name}\n" for name in sorted(listed))
    faults = [] if canonical == written else [f"{SUMS} is not as it was written"]
    for name, digest in listed.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            faults.append(f"{name} is not there" if not path.is_symlink() else f"{name} is a link")
        elif _digest(path) != digest:
            faults.append(f"{name} has changed")
    strangers = {path.name for path in folder.iterdir()} - {*listed, SUMS, *LEFTOVERS}
    faults += [f"{name} was not exported" for name in sorted(strangers)]
    if faults:
        raise Damaged(f"{folder}: {'; '.join(faults)}")
    return sorted([*listed, SUMS])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _parted(line: str) -> tuple[str, str]:
    digest, gap, name = line.partition("  ")
    if not gap or not name or "/" in name or name in (".", ".."):
        raise ValueError(f"not a checksum and a name: {line!r}")
    return name, digest
