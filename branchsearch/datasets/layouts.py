"""What the published folder layouts have in common: lists of names, and a file for each name."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from branchsearch.datasets.listing import InvalidListing, Listing, Maps, Values


def names_in(path: Path) -> list[str]:
    """The names that a list holds, one a line.

    Raises:
        InvalidListing: There is no such list.
    """
    if not path.is_file():
        raise InvalidListing(path, ["there is no such file; is this the folder of the data set?"])
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def existing(paths: Iterable[Path]) -> list[Path | None]:
    """Each path, or None where there is no file: such an image has no label."""
    return [path if path.is_file() else None for path in paths]


def listing(
    folder: Path,
    names: Sequence[str],
    images: Sequence[Path],
    parts: Sequence[str | None],
    labels: Mapping[str, Values | Maps],
    *,
    also: Sequence[Path] = (),
) -> Listing:
    """A listing whose rows are called by their names, with the labels that there are any of.

    A folder of labels that was not downloaded is a label that the data set does not have.
    """
    there = {
        name: label
        for name, label in labels.items()
        if isinstance(label, Values) or any(path is not None for path in label.paths)
    }
    rows = [f"image {name!r}" for name in names]
    return Listing(folder, rows, images, parts, there, also=also)
