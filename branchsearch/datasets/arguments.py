"""What several data sets on disk are told in the same way."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from branchsearch.datasets.faults import WrongArgument
from branchsearch.datasets.image_files import Reading


def reading(
    size: int | Sequence[int],
    shares: Mapping[str, float],
    seed: int,
    unreadable: float,
    cache_mib: float,
) -> Reading:
    """How files are read, from arguments as a spec holds them.

    Raises:
        WrongArgument: Naming what is out of range.
    """
    return Reading(
        size=pair(size),
        shares=dict(shares),
        seed=seed,
        unreadable=unreadable,
        cache_mib=cache_mib,
    )


def absolute(path: str, argument: str) -> Path:
    """A path that means the same wherever a training runs.

    Args:
        path: Absolute or from ``~``.
        argument: What the data set calls it.

    Raises:
        WrongArgument: It is relative, or nothing is there.
    """
    given = Path(path).expanduser()
    if not given.is_absolute():
        raise WrongArgument(
            f"{path!r} must be an absolute path, since trainings run in folders of their own; "
            f"here it would be {str(given.absolute())!r}",
            argument,
        )
    if not given.exists():
        raise WrongArgument(f"there is no file or folder {str(given)!r}", argument)
    return given


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width.

    Raises:
        WrongArgument: It is neither one number nor two.
    """
    numbers = (size, size) if isinstance(size, int) else tuple(size)
    if len(numbers) != 2 or not all(isinstance(number, int) for number in numbers):
        fault = f"size is one number of pixels, or height and width, not {size}"
        raise WrongArgument(fault, "size")
    return numbers[0], numbers[1]
