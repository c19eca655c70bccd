"""From a cell of a table to the number that it means.

Whoever writes a column of whole numbers with gaps often writes 1 as 1.0: both mean the same.
"""

from collections.abc import Callable, Sequence
from math import isfinite

from branchsearch.datasets.faults import did_you_mean


def finite(cell: str) -> float:
    """Any number.

    Raises:
        ValueError: It is none, or not finite.
    """
    try:
        number = float(cell)
    except ValueError:
        raise ValueError(f"{cell!r} is no number") from None
    if not isfinite(number):
        raise ValueError(f"{cell!r} is not finite; leave a missing number blank")
    return number


def finite_or_none(cell: str) -> float | None:
    """Any number; None where ``finite`` refuses it."""
    try:
        return finite(cell)
    except ValueError:
        return None


def zero_or_one(cell: str) -> float:
    """Whether an image has an attribute.

    Raises:
        ValueError: It is neither.
    """
    number = finite_or_none(cell)
    if number not in (0, 1):
        raise ValueError(f"{cell!r} is neither 0 nor 1")
    return number


def class_number(classes: int) -> Callable[[str], float]:
    """Reads the number of one of so many classes; raises ValueError for any other cell."""

    def read(cell: str) -> float:
        number = finite_or_none(cell)
        if number is None or not number.is_integer() or not 0 <= number < classes:
            raise ValueError(f"{cell!r} is no class number from 0 to {classes - 1}")
        return number

    return read


def class_name(classes: Sequence[object]) -> Callable[[str], float]:
    """Reads the name of a class to its number; raises ValueError for any other cell."""
    numbers = {str(name): number for number, name in enumerate(classes)}

    def read(cell: str) -> float:
        name = cell if cell in numbers else _whole(cell)
        if name not in numbers:
            there_are = ", ".join(numbers) + did_you_mean(cell, numbers)
            raise ValueError(f"no class {cell!r}; there are {there_are}")
        return numbers[name]

    return read


def _whole(cell: str) -> str:
    """As a class is named that is a number itself."""
    number = finite_or_none(cell)
    return str(int(number)) if number is not None and number.is_integer() else cell
