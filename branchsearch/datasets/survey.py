"""Reading every file of a listing once, before anything is trained on it."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from branchsearch.datasets.listing import InvalidListing, Listing
from branchsearch.datasets.maps import Unreadable
from branchsearch.datasets.samples import Samples, WrongRow, digest_of
from branchsearch.files import write_whole


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found in the files of N rows.

    Attributes:
        digests: A hash of each row's image file.
        contents: A hash of each row's image and targets as they are trained on.
        unreadable: Rows that cannot be read, and why; each by its number, from 0.
        colours: Per row the mean of each colour and of its square, in [0, 1]: [N, 6].
    """

    digests: Sequence[str]
    contents: Sequence[str]
    unreadable: Mapping[int, str]
    colours: Sequence[Sequence[float]]

    def mean_and_std(self, rows: Sequence[int]) -> tuple[list[float], list[float]]:
        """Of each colour over some rows' pixels."""
        means = np.asarray(self.colours)[rows].mean(axis=0)
        spread = np.sqrt(np.maximum(means[3:] - means[:3] ** 2, 0))
        return means[:3].tolist(), spread.tolist()


def survey(samples: Samples) -> Survey:
    """Read every row.

    Raises:
        InvalidListing: Files that can be read do not hold what they should.
    """
    read = _each(samples, range(len(samples.listing)))
    by_name: dict[str, list[str]] = {}
    for wrong in read:
        if isinstance(wrong, WrongRow):
            for name, fault in wrong.faults.items():
                by_name.setdefault(name, []).append(fault)
    if by_name:
        raise InvalidListing(samples.listing.source, *by_name.values())
    sound = [found for found in read if not isinstance(found, WrongRow)]
    return Survey(
        digests=[found.digest for found in sound],
        contents=[found.content for found in sound],
        unreadable={row: found.fault for row, found in enumerate(sound) if found.fault},
        colours=[found.colours for found in sound],
    )


def kept_survey(path: Path, samples: Samples) -> Survey:
    """The survey in a file; the first caller makes it.

    Raises:
        InvalidListing: As ``survey``.
        OSError: The file cannot be written.
    """
    try:
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        found = survey(samples)
        write_whole(path, json.dumps(asdict(found)))
        return found
    unreadable = {int(row): fault for row, fault in kept.pop("unreadable").items()}
    return Survey(unreadable=unreadable, **kept)


def digests(paths: Sequence[Path]) -> list[str]:
    """A hash of each file's content."""
    with ThreadPoolExecutor(_threads()) as pool:
        return list(pool.map(digest_of, paths, chunksize=64))


@dataclass(frozen=True, slots=True)
class _Found:
    digest: str
    content: str
    colours: list[float]
    fault: str | None = None


def _each(samples: Samples, rows: Sequence[int]) -> list[_Found | WrongRow]:
    with ThreadPoolExecutor(_threads()) as pool:
        return list(pool.map(_looker(samples), rows))


def _looker(samples: Samples) -> Callable[[int], _Found | WrongRow]:
    def look(row: int) -> _Found | WrongRow:
        try:
            digest, arrays = samples.whole(row)
        except WrongRow as wrong:
            return wrong
        except Unreadable as torn:
            fault = f"{_place(samples.listing, row, torn)}: {torn.filename}: {torn.strerror}"
            return _Found(digest_of(samples.listing.images[row]), "", [0.0] * 6, fault)
        content = sha256()
        for name in sorted(arrays):
            content.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
        return _Found(digest, content.hexdigest(), _colours(arrays["images"]))

    return look


def _place(listing: Listing, row: int, torn: Unreadable) -> str:
    """The row, and the column if the file stands in one: a reader may open others beside it."""
    for column, path in listing.files(row):
        if str(path) == torn.filename:
            return listing.place(row, column)
    return listing.rows[row]


def _colours(image: np.ndarray) -> list[float]:
    values = image.reshape(3, -1) / 255
    return [*values.mean(axis=1).tolist(), *np.square(values).mean(axis=1).tolist()]


def _threads() -> int:
    return min(16, os.cpu_count() or 1)
