"""One row of a listing, read: an image and all its targets, at the size asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from branchsearch.datasets.listing import Listing, Maps, missing_of, shape_of
from branchsearch.datasets.maps import Unreadable, WrongMap, aspect_of, fitted, read_image


class WrongRow(ValueError):
    """A row whose files can be read and do not hold what they should; with row and column.

    Attributes:
        faults: By the name of the label, or ``image``.
    """

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults.values())


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The rows of a listing as images and targets of one size.

    Attributes:
        listing: Where they are.
        size: Height and width, in pixels.
    """

    listing: Listing
    size: tuple[int, int]

    def image(self, row: int) -> np.ndarray:
        """The image of a row, [3, H, W] uint8.

        Raises:
            Unreadable: It is torn.
            WrongRow: It has more than 8 bits.
        """
        return self._image(row)[0]

    def target(self, row: int, name: str) -> np.ndarray:
        """One target of a row, an entry of a ``Part``'s array.

        Raises:
            Unreadable: Its file is torn.
            WrongRow: It does not hold what it should.
        """
        label = self.listing.labels[name]
        if isinstance(label, Maps) and label.paths[row] is not None:
            return self._target(row, name, aspect_of(self.listing.images[row]))
        return self._target(row, name, aspect=1)

    def whole(self, row: int) -> tuple[str, dict[str, np.ndarray]]:
        """A hash of the image's file; and the image, under ``images``, and all targets.

        Raises:
            Unreadable: A file is torn.
            WrongRow: Files do not hold what they should.
        """
        image, aspect, digest = self._image(row)
        arrays, faults = {"images": image}, dict[str, str]()
        for name in self.listing.labels:
            try:
                arrays[name] = self._target(row, name, aspect)
            except WrongRow as wrong:
                faults |= wrong.faults
        if faults:
            raise WrongRow(faults)
        return digest, arrays

    def _image(self, row: int) -> tuple[np.ndarray, float, str]:
        path = self.listing.images[row]
        content = _content(path)
        try:
            return *read_image(content, path, self.size), sha256(content).hexdigest()
        except WrongMap as error:
            raise self._wrong(row, "image", path, error) from None

    def _target(self, row: int, name: str, aspect: float) -> np.ndarray:
        label = self.listing.labels[name]
        shape, dtype = shape_of(label.label, self.size)
        if not isinstance(label, Maps):
            return np.asarray(label.array[row], dtype).reshape(shape)
        path = label.paths[row]
        if path is None:
            return missing_of(label.label, self.size)
        try:
            array = fitted(label.read(path), label.label, self.size, aspect)
        except WrongMap as error:
            raise self._wrong(row, name, path, error) from None
        return np.ascontiguousarray(array, dtype).reshape(shape)

    def _wrong(self, row: int, name: str, path: Path, error: WrongMap) -> WrongRow:
        place = self.listing.place(row, self.listing.column(name))
        return WrongRow({name: f"{place}: {str(path)!r}: {error}"})


def digest_of(path: Path) -> str:
    """A hash of a file's content; of its name where it cannot be read."""
    try:
        return sha256(_content(path)).hexdigest()
    except Unreadable:
        return sha256(str(path).encode()).hexdigest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(error.errno, f"cannot be read: {error.strerror}", str(path)) from error
