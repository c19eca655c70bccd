"""A tree as a stand-alone SVG picture: dark on light, readable by screen readers."""

from unicodedata import east_asian_width
from xml.etree import ElementTree as ET

from branchsearch.drawing.leaves import legible
from branchsearch.drawing.palette import INK, PAPER, QUIET, colours
from branchsearch.drawing.plan import Box, Strand, plan
from branchsearch.tree import Tree

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
_LONGEST = 32  # letters of a name; all of it stands in the tooltip


def svg(tree: Tree) -> str:
    """Draw a tree: boxes are copies of a stage, coloured strands are tasks on their way through.

    A box with a number is shared by that many tasks. Names are escaped, tooltips say who shares
    what, and the notation stands in the description.
    """
    drawn = plan(tree)
    colour = colours(tree.tasks)
    size = min(14.0, max(11.5, drawn.pitch * 0.5))
    names = {task: _shortened(legible(task)) for task in tree.tasks}
    width = round(drawn.width + 0.58 * size * max(map(_letters, names.values())) + 24)
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": str(width),
            "height": str(round(drawn.height)),
            "viewBox": f"0 0 {width} {round(drawn.height)}",
            "role": "img",
            "aria-label": f"Branched network of {len(tree.tasks)} tasks: {legible(str(tree))}",
            "font-family": _FONT,
        },
    )
    ET.SubElement(root, "desc").text = legible(str(tree))
    ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": PAPER})
    for stage, x in enumerate(drawn.columns[1:]):
        _write(root, f"stage {stage}", x, 24, {"text-anchor": "middle", "fill": QUIET})
    _write(root, "image", drawn.columns[0], 24, {"text-anchor": "middle", "fill": QUIET})
    for strand in drawn.strands:
        _strand(root, strand, colour[strand.task], drawn.thickness)
    for box in drawn.boxes:
        _box(root, box, colour)
    for strand in drawn.strands:
        _head(root, strand, colour[strand.task], names[strand.task], size)
    return ET.tostring(root, encoding="unicode")


def _strand(root: ET.Element, strand: Strand, colour: str, thickness: float) -> None:
    path = {"d": strand.path, "fill": "none", "stroke": colour}
    # a hair of paper between neighbours, so that like colours stay two strands
    path["stroke-width"] = f"{thickness - min(1.2, thickness * 0.16):.1f}"
    ET.SubElement(ET.SubElement(root, "path", path), "title").text = legible(strand.task)


def _box(root: ET.Element, box: Box, colour: dict[str, str]) -> None:
    group = ET.SubElement(root, "g")
    who = ", ".join(map(legible, box.tasks))
    what = "image" if box.stage is None else f"stage {box.stage}"
    ET.SubElement(group, "title").text = (
        f"{what}, shared by {len(box.tasks)}: {who}" if len(box.tasks) > 1 else f"{what}, {who}"
    )
    own = len(box.tasks) == 1 and box.stage is not None
    shape = {
        "x": f"{box.x:.1f}",
        "y": f"{box.y:.1f}",
        "width": f"{box.width:.1f}",
        "height": f"{box.height:.1f}",
        "rx": "5",
        "stroke": colour[box.tasks[0]] if own else INK,
        "stroke-width": "1.5",
        "fill": INK if box.stage is None else PAPER,
        "fill-opacity": "1" if box.stage is None else "0.8",
    }
    ET.SubElement(group, "rect", shape)
    if len(box.tasks) > 1 and box.stage is not None:
        middle = {"text-anchor": "middle", "fill": INK, "font-weight": "600"}
        _write(
            group, str(len(box.tasks)), box.x + box.width / 2, box.y + box.height / 2 + 4.5, middle
        )


def _head(root: ET.Element, strand: Strand, colour: str, name: str, size: float) -> None:
    group = ET.SubElement(root, "g")
    ET.SubElement(group, "title").text = legible(strand.task)
    dot = {"cx": f"{strand.x:.1f}", "cy": f"{strand.y:.1f}", "r": f"{size * 0.42:.1f}"}
    ET.SubElement(group, "circle", {**dot, "fill": colour})
    _write(group, name, strand.x + size * 0.9, strand.y + size * 0.35, {"fill": INK}, size)


def _write(
    root: ET.Element, words: str, x: float, y: float, style: dict[str, str], size: float = 12.5
) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": f"{size:.1f}"}
    ET.SubElement(root, "text", {**place, **style}).text = words


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _letters(name: str) -> int:
    """How wide a name is, in narrow letters."""
    return sum(1 + (east_asian_width(letter) in "WF") for letter in name)
