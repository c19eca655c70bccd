"""torchjd, where it is installed."""

from importlib import import_module
from types import ModuleType


class NeedsTorchjd(ImportError):
    """A balancing of torchjd is asked for and torchjd is not there."""


def import_torchjd(part: str) -> ModuleType:
    """Import a package of torchjd.

    Raises:
        NeedsTorchjd: Saying how to install it.
    """
    try:
        return import_module(f"torchjd.{part}")
    except ModuleNotFoundError as error:
        raise NeedsTorchjd(
            "this balancing needs torchjd: pip install 'branchsearch[torchjd]'"
        ) from error
