"""What a drawing is made of, in pixels: a strand per task and a box per copy of a stage.

Strands run side by side, so that a branch is as wide as the number of tasks that share it.
"""

from dataclasses import dataclass
from itertools import pairwise

from branchsearch.drawing.graph import Node, graph, positions
from branchsearch.drawing.leaves import leaves
from branchsearch.tree import Tree

_BOX = 46  # pixels, as all below
_IMAGE = 16  # the image's bar, at the right end of its column
_LEFT = 30
_TOP = 44
_BOTTOM = 20


@dataclass(frozen=True, slots=True)
class Box:
    """The image, or one copy of a stage.

    Attributes:
        x: Left edge.
        y: Upper edge.
        width: To the right.
        height: Downwards.
        stage: The stage that it is a copy of; None for the image.
        tasks: Those that share it, from above.
    """

    x: float
    y: float
    width: float
    height: float
    stage: int | None
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Strand:
    """The way of one task from the image to its head.

    Attributes:
        task: Its name.
        path: As SVG and plotly write paths.
        x: Where it ends.
        y: Where it ends.
    """

    task: str
    path: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A tree, drawn: from the left to the right, y downwards from the upper edge.

    Attributes:
        boxes: The image first.
        strands: One per task, from above.
        columns: Middle of the image and of each stage.
        thickness: Of one strand.
        pitch: From one head to the next.
        width: Of all but the heads' names.
        height: Of all.
    """

    boxes: tuple[Box, ...]
    strands: tuple[Strand, ...]
    columns: tuple[float, ...]
    thickness: float
    pitch: float
    width: float
    height: float


def plan(tree: Tree) -> Plan:
    """Place everything; few tasks are drawn at ease, many close together."""
    tasks, stages = len(tree.tasks), len(tree.branches)
    pitch = min(42.0, max(18.0, 320 / tasks))
    thickness = round(pitch * 0.27, 1)
    gap = min(150.0, 44 + 0.13 * pitch * tasks)  # a wide fan needs room to open
    drawn = graph(tree)
    places = positions(drawn)

    def left(layer: int) -> float:
        return _LEFT + (layer and _IMAGE + gap + (layer - 1) * (_BOX + gap))

    def middle(node: Node) -> float:
        return _TOP + (places[node][1] + 0.5) * pitch

    def lane(node: Node, task: str) -> float:
        members: tuple[str, ...] = drawn.nodes[node]["tasks"]
        return middle(node) + (members.index(task) - (len(members) - 1) / 2) * thickness

    def box(node: Node) -> Box:
        members = drawn.nodes[node]["tasks"]
        height = max(min(22.0, pitch - 5), len(members) * thickness + min(10.0, pitch / 4))
        top = middle(node) - height / 2
        if node.layer == 0:
            return Box(left(0), top, _IMAGE, height, None, members)
        return Box(left(node.layer), top, _BOX, height, node.layer - 1, members)

    def strand(task: str) -> Strand:
        path = [node for node in places if task in drawn.nodes[node]["tasks"]]
        lanes = [lane(node, task) for node in sorted(path)]
        end = left(stages + 1)
        pieces = [f"M{left(0):.1f},{lanes[0]:.1f}"]
        for layer, (y, after) in enumerate(pairwise(lanes)):
            x, x_after = left(layer + 1) - gap, left(layer + 1)
            bend = (x + x_after) / 2
            pieces.append(
                f"L{x:.1f},{y:.1f}C{bend:.1f},{y:.1f},{bend:.1f},{after:.1f},{x_after:.1f},{after:.1f}"
            )
        return Strand(task, "".join(pieces), end, lanes[-1])

    return Plan(
        boxes=tuple(box(node) for node in sorted(places) if node.layer <= stages),
        strands=tuple(strand(task) for task in leaves(tree)),
        columns=(left(0) + _IMAGE / 2, *(left(layer) + _BOX / 2 for layer in range(1, stages + 1))),
        thickness=thickness,
        pitch=pitch,
        width=left(stages + 1) + 14,
        height=_TOP + tasks * pitch + _BOTTOM,
    )
