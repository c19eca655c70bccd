"""Lines with bands, several panels side by side, as one SVG picture."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from branchsearch.drawing.palette import INK, PAPER, QUIET

_WIDTH, _HEIGHT, _ACROSS = 300, 220, 3
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 34, 34

#: Of the key: how wide a name may be with its stroke, and how high a row is.
_NAME, _ROW = 180, 17


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its band; all of one length.

    Attributes:
        values: One per place.
        low: Lower ends of the band.
        high: Upper ends.
    """

    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over the same whole numbers.

    Attributes:
        title: Stands above.
        first: The number of the first place.
        lines: By name.
    """

    title: str
    first: int
    lines: Mapping[str, Line]


def picture(panels: Sequence[Panel], colours: Mapping[str, str], *, across: str, up: str) -> str:
    """Draw panels, each with a scale of its own that begins at 0.

    Args:
        panels: What to draw.
        colours: By the names of lines, in the order of the key.
        across: What the numbers are.
        up: What the values are.
    """
    rows = math.ceil(len(panels) / _ACROSS)
    width = _WIDTH * min(_ACROSS, len(panels))
    names_across = width // _NAME
    key = _ROW * (math.ceil(len(colours) / names_across) + 1)
    height = _HEIGHT * rows + key
    size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
    root = ET.Element(
        "svg",
        {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-label": f"{up} by {across}"}
        | size
        | {"font-family": "system-ui, sans-serif", "font-size": "11"},
    )
    ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": PAPER})
    for number, (name, colour) in enumerate(colours.items()):
        x = 12 + number % names_across * _NAME
        y = 16 + number // names_across * _ROW
        _stroke(root, [(x, y), (x + 16, y)], colour)
        _write(root, name.replace("_", " "), x + 20, y + 4)
    for number, panel in enumerate(panels):
        place = f"translate({number % _ACROSS * _WIDTH} {number // _ACROSS * _HEIGHT + key})"
        group = ET.SubElement(root, "g", {"transform": place})
        _panel(group, panel, colours, across, up)
    return ET.tostring(root, encoding="unicode") + "\n"


def _panel(
    root: ET.Element, panel: Panel, colours: Mapping[str, str], across: str, up: str
) -> None:
    places = max(len(line.values) for line in panel.lines.values())
    most = max(max(line.high) for line in panel.lines.values()) or 1.0
    step = _step(most)

    def x(place: int) -> float:
        return _LEFT + place * (_WIDTH - _LEFT - _RIGHT) / max(1, places - 1)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / most * (_HEIGHT - _TOP - _BOTTOM)

    _write(root, panel.title, _LEFT, 20, {"font-weight": "600"})
    for tick in range(int(most / step) + 1):
        value = tick * step
        _stroke(root, [(_LEFT, y(value)), (_WIDTH - _RIGHT, y(value))], QUIET, {"opacity": "0.25"})
        _write(root, f"{value:.4g}", _LEFT - 6, y(value) + 4, {"text-anchor": "end"})
    for place in range(0, places, max(1, round(places / 5))):
        at = {"text-anchor": "middle"}
        _write(root, str(panel.first + place), x(place), _HEIGHT - _BOTTOM + 14, at)
    _write(root, f"{up} by {across}", _LEFT, _HEIGHT - 6, {"fill": QUIET, "font-size": "10"})
    for name, colour in colours.items():
        if name not in panel.lines:
            continue
        line = panel.lines[name]
        there = [(x(p), y(value)) for p, value in enumerate(line.high)]
        back = [(x(p), y(value)) for p, value in enumerate(line.low)][::-1]
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in there + back)
        ET.SubElement(root, "polygon", {"points": points, "fill": colour, "opacity": "0.15"})
        _stroke(root, [(x(p), y(value)) for p, value in enumerate(line.values)], colour)


def _step(most: float) -> float:
    """A round number that goes about four times into another."""
    power = 10 ** math.floor(math.log10(most / 4))
    return power * min((1, 2, 5, 10), key=lambda factor: abs(factor * power - most / 4))


def _stroke(
    root: ET.Element,
    points: Sequence[tuple[float, float]],
    colour: str,
    more: Mapping[str, str] | None = None,
) -> None:
    path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    look = {"d": path, "fill": "none", "stroke": colour, "stroke-width": "1.8"}
    ET.SubElement(root, "path", look | dict(more or {}))


def _write(
    root: ET.Element, text: str, x: float, y: float, more: Mapping[str, str] | None = None
) -> None:
    at = {"x": f"{x:.1f}", "y": f"{y:.1f}", "fill": INK}
    ET.SubElement(root, "text", at | dict(more or {})).text = text
