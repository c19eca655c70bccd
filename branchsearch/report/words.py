"""Numbers and names as people read them."""

from collections.abc import Sequence
from html import escape

from branchsearch.drawing.leaves import legible
from branchsearch.drawing.text import text
from branchsearch.report.findings import mean_and_spread
from branchsearch.task import Direction, Task
from branchsearch.tree import Tree

_METRICS = {
    "edge_f": "F of edges",
    "log_rmse": "RMSE of logarithms",
    "mean_f1": "mean F1",
    "mean_iou": "mean IoU",
    "pck": "PCK",
    "rmse": "RMSE",
    "saliency_f": "F of saliency",
    "saliency_iou": "IoU of saliency",
    "within_11_degrees": "within 11.25°",
}
#: Without an entry here a metric has no unit, or that of what it is compared with.
_UNITS = {"angular_error": "°", "keypoint_error": "pixels", "median_angular_error": "°"}
_OUTCOMES = {"stopped": "stopped early", "over_budget": "over budget"}
_MOST_DRAWN = 12  # tasks; a bigger tree does not fit under a pointer
_MOST_WRITTEN = 160  # letters


def amount(number: float) -> str:
    """A count with three digits and a letter for the thousands.

    >>> [amount(n) for n in (7, 950, 250_000, 1_234_567, 45_600_000_000)]
    ['7', '950', '250 k', '1.23 M', '45.6 G']
    """
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size * 0.9995:
            scaled = f"{number / size:#.3g}" if number < size * 999.5 else f"{number / size:.0f}"
            return scaled.rstrip(".") + letter
    return f"{number:.0f}"


def signed(number: float, digits: int = 2) -> str:
    """A number with its sign, as in ``+1.20``, a true minus for one below 0; 0 has none."""
    rounded = round(number, digits)
    return f"{rounded:+.{digits}f}".replace("-", "\N{MINUS SIGN}") if rounded else f"{0:.{digits}f}"


def percent(values: Sequence[float]) -> str:
    """Mean and spread of gains, in percent; the mean alone where one number has no spread."""
    mean, spread = mean_and_spread(values)
    return f"{signed(mean)} %" if len(values) == 1 else f"{signed(mean)} ± {spread:.2f} %"


def percent_of_seeds(values: Sequence[float]) -> str:
    """The same, and how many seeds it is of."""
    return f"{percent(values)} ({len(values)} {'seed' if len(values) == 1 else 'seeds'})"


def share(part: float, whole: float) -> str:
    """How much a part is of a whole, as in ``41 %``; a dash where the whole is nothing."""
    return f"{100 * part / whole:.0f} %" if whole else "\N{EN DASH}"


def metric(task: Task) -> str:
    """How a task is judged and which way is better, as in ``angular error (°) ↓``."""
    unit = f" ({_UNITS[task.metric]})" if task.metric in _UNITS else ""
    arrow = "↑" if task.direction is Direction.MAXIMIZE else "↓"
    return f"{_METRICS.get(task.metric, task.metric.replace('_', ' '))}{unit} {arrow}"


def outcome(name: str) -> str:
    """How a trial ended."""
    return _OUTCOMES.get(name, name)


def plain(name: str) -> str:
    """A name for plotly, which takes ``<`` and ``&`` for markup; it knows no escaped quotes."""
    return escape(legible(name), quote=False)


def under_pointer(tree: Tree) -> str:
    """A tree for plotly's labels: drawn where it fits, else its notation, cut off."""
    if len(tree.tasks) > _MOST_DRAWN:
        return plain(shortened(str(tree)))
    return plain(text(tree)).replace(" ", "\N{NO-BREAK SPACE}").replace("\n", "<br>")


def shortened(words: str, most: int = _MOST_WRITTEN) -> str:
    """Words cut off with an ellipsis where they are longer than ``most`` letters."""
    return words if len(words) <= most else f"{words[: most - 1]}…"
