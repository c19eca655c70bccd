"""Files to arrays: images and maps, brought to one size.

An image is cut about its centre to the shape asked for and then made smaller or larger; its maps
are cut alike, whatever their own size, and take the nearest value. A cut or a change of size leaves
distances and normals as they are.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from struct import error as StructError
from zlib import error as ZlibError

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, UnidentifiedImageError

from branchsearch.datasets.dataset import UNLABELLED, Label
from branchsearch.datasets.listing import Read

#: By how much a map's width over height may differ from its image's, and an image's from that of
#: the size asked for before it is said.
_ASPECT = 0.03

#: The largest distance that a depth map may hold: what 16 bits can.
FARTHEST = 65504.0

_UNREADABLE = (
    OSError,
    EOFError,
    SyntaxError,  # Pillow's word for a torn PNG
    ValueError,
    StructError,
    ZlibError,
    Image.DecompressionBombError,
)


class Unreadable(OSError):
    """A file that is there and holds no picture or array."""


class WrongMap(ValueError):
    """A file that can be read and does not hold what it should."""


def read_image(
    content: bytes, path: Path, size: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "3 H W"], float]:
    """An image of that height and width, and its own width over height.

    Raises:
        Unreadable: It is torn, or no picture.
        WrongMap: Its pixels have more than 8 bits.
    """
    height, width = size
    with refusing_torn(path), Image.open(BytesIO(content)) as image:
        if image.mode.startswith(("I", "F")):
            raise WrongMap(f"pixels of more than 8 bits ({image.mode}); an image has 8 per colour")
        aspect = image.width / image.height
        image.draft("RGB", (width, height))  # a JPEG is not decoded finer than needed
        # a palette's transparent entries are only known on the way over RGBA
        rgb = (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")
    box = _box(rgb.width, rgb.height, size)
    sized = rgb.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(sized).transpose(2, 0, 1), aspect


def aspect_of(path: Path) -> float:
    """An image's width over height, from its first bytes.

    Raises:
        Unreadable: It is no picture.
    """
    height, width = size_of(path)
    return width / height


def size_of(path: Path) -> tuple[int, int]:
    """An image's height and width, from its first bytes.

    Raises:
        Unreadable: It is no picture.
    """
    with refusing_torn(path), Image.open(path) as image:
        return image.height, image.width


def cut(own: tuple[int, int], size: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width of what is seen of an image of that size of its own.

    Returns:
        None where all is seen, or all but a few percent.
    """
    (height, width), (high, wide) = own, size
    if abs(width / height / (wide / high) - 1) <= _ASPECT:
        return None
    left, top, right, bottom = _box(width, height, size)
    return round(bottom - top), round(right - left)


def fitted(array: np.ndarray, label: Label, size: tuple[int, int], aspect: float) -> np.ndarray:
    """A map [..., H, W] brought to a size, as its image was.

    Args:
        array: The map at its own size.
        label: What it is.
        size: Height and width to reach.
        aspect: Of its image: width over height.

    Raises:
        WrongMap: Its shape is not its image's.
    """
    height, width = array.shape[-2:]
    if abs(width / height / aspect - 1) > _ASPECT:
        raise WrongMap(
            f"a map of {height} x {width} pixels does not lie over an image {aspect:.2f} times as "
            f"wide as high"
        )
    if (height, width) == size:
        return array
    left, top, right, bottom = _box(width, height, size)
    if label.kind == "keypoints":
        box = (left, top, right, bottom)
        channels = [Image.fromarray(np.asarray(one, np.float32)) for one in array]
        bilinear = Image.Resampling.BILINEAR
        return np.stack([np.asarray(one.resize(size[::-1], bilinear, box)) for one in channels])
    rows = np.floor(top + (np.arange(size[0]) + 0.5) * (bottom - top) / size[0]).astype(int)
    columns = np.floor(left + (np.arange(size[1]) + 0.5) * (right - left) / size[1]).astype(int)
    return array[..., rows[:, None], columns]


def _box(width: int, height: int, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest window about the centre with the shape of ``size``: left, top, right, bottom."""
    aspect = size[1] / size[0]
    wide, high = min(float(width), height * aspect), min(float(height), width / aspect)
    left, top = (width - wide) / 2, (height - high) / 2
    return left, top, left + wide, top + high


@dataclass(frozen=True, kw_only=True, slots=True)
class MapFormat:
    """How a map is written in a PNG or NPY file.

    Attributes:
        missing: Values that mean that nobody labelled a pixel. NaN always does.
        offset: What is taken off class numbers, after ``missing`` is known.
        unit: Distance of one count of a depth map.
        threshold: An edge, or what stands out, is above it.
        axes: Factors of a normal's three numbers, 1 or -1, to point right, up and to the camera.
    """

    missing: tuple[float, ...] = ()
    offset: int = 0
    unit: float = 1.0
    threshold: float = 0.0
    axes: tuple[int, int, int] = (1, 1, 1)


def map_reader(label: Label, form: MapFormat) -> Read:
    """Reads PNG and NPY files of a kind into what ``Part`` holds, at the file's own size."""
    kinds: dict[str, Callable[[np.ndarray, Label, MapFormat], np.ndarray]] = {
        "segmentation": _classes,
        "depth": _depth,
        "normals": _normals,
        "edges": _binary,
        "saliency": _binary,
        "keypoints": _heat,
    }
    convert = kinds[label.kind]

    def read(path: Path) -> np.ndarray:
        array = read_array(path)
        if array.dtype.kind not in "buif":
            raise WrongMap(f"holds {array.dtype}, no numbers")
        return convert(array, label, form)

    return read


def read_array(path: Path) -> np.ndarray:
    """What a PNG (or other picture) or NPY file holds, as it is there.

    Raises:
        Unreadable: It is torn, or neither.
    """
    with refusing_torn(path):
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        with Image.open(path) as image:
            known = image.mode in ("1", "L", "P", "I", "I;16", "F", "RGB")
            return np.asarray(image if known else image.convert("RGB"))


@contextmanager
def refusing_torn(path: Path) -> Iterator[None]:
    """Errors of whoever reads a file become ``Unreadable``, with its path."""
    try:
        yield
    except (WrongMap, Unreadable):
        raise
    except UnidentifiedImageError as error:  # its own words name a buffer, not the file
        raise Unreadable(0, "is no picture", str(path)) from error
    except _UNREADABLE as error:
        raise Unreadable(0, f"cannot be read: {error}", str(path)) from error


def _classes(array: np.ndarray, label: Label, form: MapFormat) -> UInt8[np.ndarray, "H W"]:
    plane = _plane(array)
    missing = _is_missing(plane, form.missing or (UNLABELLED,))
    known = np.where(missing, 0, plane)
    odd = known[(known != np.trunc(known)) | ~np.isfinite(known)]
    if odd.size:
        raise WrongMap(f"pixels of class {odd[0]:g}; classes are whole numbers")
    numbers = known.astype(np.int64) - np.where(missing, 0, form.offset)
    assert label.classes is not None  # checked where labels are declared
    wrong = (numbers < 0) | (numbers >= label.classes)
    if wrong.any():
        found = sorted(set((numbers[wrong] + form.offset).tolist()))
        start = f" from {form.offset}" if form.offset else ""
        raise WrongMap(f"pixels of class {found[0]}, but there are {label.classes} classes{start}")
    return np.where(missing, UNLABELLED, numbers).astype(np.uint8)


def _depth(array: np.ndarray, label: Label, form: MapFormat) -> Float32[np.ndarray, "1 H W"]:
    plane = _plane(array)
    distance = plane.astype(np.float32) * np.float32(form.unit)
    distance[_is_missing(plane, form.missing)] = np.nan
    if (np.abs(distance) > FARTHEST).any():
        raise WrongMap(
            f"a distance of {np.nanmax(distance):g}, more than {FARTHEST:g}; give a unit"
        )
    if label.logarithmic:
        if (distance <= 0).any():
            raise WrongMap("a distance of 0 or less has no logarithm; is 0 what is missing?")
        distance = np.log(distance)
    return distance[None]


def _normals(array: np.ndarray, _: Label, form: MapFormat) -> Float32[np.ndarray, "3 H W"]:
    if array.ndim != 3 or 3 not in (array.shape[0], array.shape[-1]):
        raise WrongMap(f"normals have three numbers per pixel, not an array of {array.shape}")
    channels_last = array.shape[-1] == 3
    planes = array.transpose(2, 0, 1) if channels_last else array
    missing = _is_missing(planes, form.missing).all(axis=0)
    vectors = planes.astype(np.float32)
    if array.dtype == np.uint8:
        vectors = vectors / 127.5 - 1
    length = np.sqrt(np.square(vectors).sum(axis=0))
    # a pixel without a surface is written as a vector far from unit length
    length[missing | ~((length > 0.5) & (length < 1.5))] = np.nan
    unit: np.ndarray = vectors / length * np.array(form.axes, np.float32)[:, None, None]
    return unit


def _binary(array: np.ndarray, _: Label, form: MapFormat) -> UInt8[np.ndarray, "1 H W"]:
    plane = _plane(array)
    missing = _is_missing(plane, form.missing)
    return np.where(missing, UNLABELLED, plane > form.threshold).astype(np.uint8)[None]


def _heat(array: np.ndarray, label: Label, form: MapFormat) -> Float32[np.ndarray, "K H W"]:
    if array.ndim != 3 or len(array) != label.count:
        raise WrongMap(f"needs {label.count} heat maps [K, H, W], not an array of {array.shape}")
    heat = array.astype(np.float32)
    if array.dtype == np.uint8:
        heat /= 255
    heat[_is_missing(array, form.missing)] = np.nan
    if (heat < 0).any() or (heat > 1).any():
        raise WrongMap(f"heat is in [0, 1], not {np.nanmin(heat):g} to {np.nanmax(heat):g}")
    return heat


def _plane(array: np.ndarray) -> np.ndarray:
    """A map of one number per pixel, [H, W]."""
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[-1]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim != 2:
        raise WrongMap(f"needs one number per pixel, not an array of {array.shape}")
    return array


def _is_missing(array: np.ndarray, values: Sequence[float]) -> np.ndarray:
    missing = np.isin(array, values) if values else np.zeros(array.shape, bool)
    return missing | np.isnan(array) if array.dtype.kind == "f" else missing
