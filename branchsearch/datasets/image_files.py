"""A data set whose images and labels are files on disk, whoever laid them out."""

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from branchsearch.datasets.dataset import PARTS, Dataset, Label, Part, Rows
from branchsearch.datasets.faults import WrongArgument
from branchsearch.datasets.listing import InvalidListing, Listing, Values, labelled, shape_of, shown
from branchsearch.datasets.samples import Samples
from branchsearch.datasets.split import NotDisjoint, check_shares, split
from branchsearch.datasets.store import stored
from branchsearch.datasets.survey import Survey, digests, kept_survey

_LOG = logging.getLogger(__name__)

#: Raised when files are read otherwise, so that nobody takes what an older version kept.
VERSION = 1


#: The part of all rows that may be torn and left out, where nobody says.
UNREADABLE = 0.01


class TooManyUnreadable(ValueError):
    """More of the images cannot be read than was allowed."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files become a data set; the arguments that all data sets on disk share.

    Attributes:
        size: Height and width in pixels; one number for both. Images are cut about their centre to
            that shape.
        shares: The fraction of all images that each part takes where the files do not say; see
            ``split``.
        seed: Of that.
        unreadable: The part of all rows, in [0, 1), that may be left out because it is torn.
        cache_mib: Data sets up to so many MiB, decoded, are kept decoded in memory-mapped files;
            larger ones are decoded whenever a batch is loaded.

    Raises:
        WrongArgument: A number is out of range.
    """

    size: tuple[int, int]
    shares: Mapping[str, float]
    seed: int
    unreadable: float
    cache_mib: float

    def __post_init__(self) -> None:
        if min(self.size) < 8:
            raise WrongArgument(f"size must be at least 8 pixels, got {min(self.size)}", "size")
        if self.seed < 0:
            raise WrongArgument(f"seed must not be negative, got {self.seed}", "seed")
        if not 0 <= self.unreadable < 1:
            fault = f"unreadable must be in [0, 1), got {self.unreadable}"
            raise WrongArgument(fault, "unreadable")
        if self.cache_mib < 0:
            fault = f"cache_mib must not be negative, got {self.cache_mib}"
            raise WrongArgument(fault, "cache_mib")
        check_shares(self.shares)


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """A data set in files.

    Attributes:
        name: Of the data set in the catalog.
        listing: Where its images and labels are.
        reading: How they are read.
        mirrors: As in ``Dataset``.

    Raises:
        InvalidListing: A file is not there; with row and column.
    """

    name: str
    listing: Listing
    reading: Reading
    mirrors: bool = True
    _samples: Samples = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not len(self.listing):
            raise InvalidListing(self.listing.source, ["no images"])
        self.listing.check_files()
        object.__setattr__(self, "_samples", Samples(self.listing, self.reading.size))

    @property
    def labels(self) -> Mapping[str, Label]:
        """What the images are labelled with, by name."""
        return {name: label.label for name, label in self.listing.labels.items()}

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        return self.reading.size

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How many images each part has, torn ones among them: those are found when it is opened.

        Raises:
            InvalidListing: As ``listed``.
        """
        return {part: len(rows) for part, rows in self.listed.items()}

    @cached_property
    def listed(self) -> Mapping[str, list[int]]:
        """The rows of each part, torn ones among them.

        Reads the image files, unless all parts are named: their content decides on their part.

        Raises:
            InvalidListing: A part is empty, or an image is in two.
        """
        named = self.listing.parts
        if set(named) == set(PARTS):
            return {part: [row for row, of in enumerate(named) if of == part] for part in PARTS}
        return self._rows(digests(self.listing.images))

    def without(self, name: str) -> list[str]:
        """The parts to learn from and to judge by in which no image has a label.

        Args:
            name: Of the label.

        Raises:
            InvalidListing: As ``listed``.
        """
        there = labelled(self.listing.labels[name])
        return [part for part in PARTS if part != "probe" and not there[self.listed[part]].any()]

    @cached_property
    def content(self) -> str:
        """A hash of the listing, and of the sizes and times of its files."""
        told = sha256(f"{VERSION} {self.name} {self.reading}".encode())
        for name, label in self.labels.items():
            told.update(f"{name} {label}\n".encode())
        for labels in self.listing.labels.values():
            told.update(
                np.ascontiguousarray(labels.array).tobytes()
                if isinstance(labels, Values)
                else f"{labels.how}\n".encode()
            )
        for row in range(len(self.listing)):
            told.update(f"{self.listing.parts[row]}\n".encode())
            for column, path in self.listing.files(row):
                told.update(f"{column} {_version(path)}\n".encode())
        for path in self.listing.also:
            told.update(f"{_version(path)}\n".encode())
        return told.hexdigest()

    def open(self, folder: Path) -> Dataset:
        """Read every file once, unless that was done; what is kept goes below ``folder``.

        Raises:
            InvalidListing: Files do not hold what they should, with row and column; or a part is
                empty, or an image in two.
            TooManyUnreadable: Naming the files.
            OSError: The folder cannot be written.
        """
        kept = folder / f"{self.name}-{self.content[:20]}"
        found = kept_survey(kept / "survey.json", self._samples)
        self._check(found)
        rows = self._rows(found.digests, left_out=found.unreadable)
        if self._mib() <= self.reading.cache_mib:
            opened = self._decoded(kept / "arrays", rows)
        else:
            opened = self._in_files(rows, found)
        skipped = tuple(f"{self.listing.source}: {torn}" for torn in found.unreadable.values())
        return replace(opened, mirrors=self.mirrors, skipped=skipped)

    def _check(self, found: Survey) -> None:
        torn = list(found.unreadable.values())
        source, count = self.listing.source, len(self.listing)
        if len(torn) > self.reading.unreadable * count:
            raise TooManyUnreadable(
                f"{source}: {len(torn)} of {count} rows cannot be read, more than the part of "
                f"{self.reading.unreadable:g} that may be left out:\n" + "\n".join(shown(torn))
            )
        if torn:
            _LOG.warning(
                "%s: left out %d of %d images:\n%s", source, len(torn), count, "\n".join(torn)
            )

    def _rows(self, found: Sequence[str], left_out: Container[int] = ()) -> dict[str, list[int]]:
        reading, listing = self.reading, self.listing
        try:
            parts = split(
                found, listing.parts, listing.rows, shares=reading.shares, seed=reading.seed
            )
        except NotDisjoint as error:
            raise InvalidListing(listing.source, [str(error)]) from None
        rows: dict[str, list[int]] = {part: [] for part in PARTS}
        for row, part in enumerate(parts):
            if row not in left_out:
                rows[part].append(row)
        empty = ", ".join(part for part in PARTS if not rows[part])
        if empty:
            fault = f"no image of {len(listing)} falls to {empty}; give more images or other shares"
            raise InvalidListing(listing.source, [fault])
        return rows

    def _mib(self) -> float:
        height, width = self.reading.size
        entries = [shape_of(label, self.reading.size) for label in self.labels.values()]
        per_row = sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in entries)
        return len(self.listing) * (3 * height * width + per_row) / 2**20

    def _decoded(self, folder: Path, rows: Mapping[str, list[int]]) -> Dataset:
        def draw(part: str, index: int) -> Mapping[str, np.ndarray]:
            return self._samples.whole(rows[part][index])[1]

        counts = {part: len(chosen) for part, chosen in rows.items()}
        return stored(folder, self.labels, counts, draw)

    def _in_files(self, rows: Mapping[str, list[int]], found: Survey) -> Dataset:
        mean, std = found.mean_and_std(rows["train"])
        told = sha256(f"{self.labels} {self.reading.size}".encode())
        for part in PARTS:
            told.update(f"{part} {[found.contents[row] for row in rows[part]]}".encode())
        return Dataset(
            labels=self.labels,
            parts={part: self._part(np.array(chosen)) for part, chosen in rows.items()},
            mean=(mean[0], mean[1], mean[2]),
            std=(std[0], std[1], std[2]),
            fingerprint=told.hexdigest(),
        )

    def _part(self, rows: np.ndarray) -> Part:
        size = self.reading.size
        targets: dict[str, Rows] = {}
        for name, label in self.listing.labels.items():
            targets[name] = (
                label.array[rows]
                if isinstance(label, Values)
                else Decoded(self._samples, rows, name, *shape_of(label.label, size))
            )
        images = Decoded(self._samples, rows, None, (3, *size), np.dtype(np.uint8))
        return Part(images, targets)


def _version(path: Path) -> str:
    """What changes when a file does."""
    if not path.is_file():
        return f"no {path}"
    stat = path.stat()
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Rows that are read from their files whenever they are asked for.

    Attributes:
        samples: Of the whole listing.
        rows: Which of them, in order.
        name: The label; None for the images.
        entry: Shape of one entry.
        dtype: Of its values.
    """

    samples: Samples
    rows: np.ndarray
    name: str | None
    entry: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return (len(self.rows), *self.entry)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Any, /) -> np.ndarray:  # noqa: ANN401  # as numpy's arrays
        rows = self.rows[chosen]
        if np.ndim(rows) == 0:
            return self._read(int(rows))
        read = [self._read(int(row)) for row in rows]
        return np.stack(read) if read else np.empty((0, *self.entry), self.dtype)

    def _read(self, row: int) -> np.ndarray:
        return self.samples.image(row) if self.name is None else self.samples.target(row, self.name)
