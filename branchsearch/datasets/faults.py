"""How arguments of a data set are refused: what was wrong, where it stands, what was meant."""

from collections.abc import Iterable
from difflib import get_close_matches


class WrongArgument(ValueError):
    """An argument that cannot be meant.

    Attributes:
        path: The keys that lead to it, from the arguments down.
    """

    def __init__(self, message: str, *path: str) -> None:
        super().__init__(message)
        self.path = path


def did_you_mean(name: object, there_are: Iterable[str]) -> str:
    """The end of an error about a name that is not there; empty where none is like it.

    >>> did_you_mean("trian", ["train", "test"])
    "; did you mean 'train'?"
    """
    close = get_close_matches(str(name), list(there_are), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
