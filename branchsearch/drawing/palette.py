"""A colour for every task, the same in every drawing of a job.

The first eight are told apart with every common colour blindness; more tasks get darker and
lighter shades of them, next to which a name always stands. Six of the eight are those of M. Okabe
and K. Ito, "Color Universal Design", 2002, without yellow, which is too pale for a line on white;
wine and indigo are P. Tol's, "Colour Schemes", SRON 2021.
"""

from collections.abc import Sequence

_BASE = ("0072b2", "d55e00", "009e73", "cc79a7", "e69f00", "56b4e9", "882255", "332288")
#: How far towards black (below 0) or white (above 0), from one round through the base to the next.
_SHADES = (0.0, -0.4, 0.4, -0.65, 0.57)

INK = "#1f2933"
QUIET = "#66717d"
PAPER = "#ffffff"


def colours(tasks: Sequence[str]) -> dict[str, str]:
    """A colour per task as ``#rrggbb``; distinct for up to 40 tasks, then from the start again."""
    return {task: _colour(number) for number, task in enumerate(sorted(tasks))}


def _colour(number: int) -> str:
    shade = _SHADES[number // len(_BASE) % len(_SHADES)]
    end = 255 if shade > 0 else 0
    channels = bytes.fromhex(_BASE[number % len(_BASE)])
    mixed = (round(channel + (end - channel) * abs(shade)) for channel in channels)
    return "#" + "".join(f"{channel:02x}" for channel in mixed)
