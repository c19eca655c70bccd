from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from branchsearch.drawing.leaves import leaves, legible
from branchsearch.drawing.palette import colours
from branchsearch.drawing.svg import svg
from branchsearch.tree import Tree
from tests.generators import trees

SVG = "{http://www.w3.org/2000/svg}"
AWKWARD = ['<script>"&', "a'b", "]]&gt;", "\x00\x1b", "\ud800", "\ufffe", "漢字", "é" * 200]


def written(picture: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(picture).iter(f"{SVG}text")]


@given(trees())
def test_each_task_is_named_once_in_the_order_of_the_leaves(tree: Tree):
    names = [words for words in written(svg(tree)) if words in tree.tasks]
    heads = names[-len(tree.tasks) :]  # a task may be called "40" as a box's count may
    assert heads == list(leaves(tree))


@given(trees())
def test_each_copy_is_one_box_that_names_its_tasks(tree: Tree):
    boxes = [
        group.find(f"{SVG}title").text
        for group in ET.fromstring(svg(tree)).iter(f"{SVG}g")
        if group.find(f"{SVG}rect") is not None
    ]
    assert len(boxes) == 1 + sum(tree.widths)


@given(st.lists(st.sampled_from([n for n in AWKWARD if ">" not in n]), min_size=1, unique=True))
def test_awkward_names_are_well_formed(names: list[str]):
    picture = svg(Tree.share_all(names, stages=2))
    picture.encode()
    titles = {element.text for element in ET.fromstring(picture).iter(f"{SVG}title")}
    assert {legible(name) for name in names} <= titles
    assert "<script" not in picture


def test_everything_is_inside_the_picture():
    for tasks in (1, 4, 9, 40):
        root = ET.fromstring(svg(Tree.share_none([f"task{n}" for n in range(tasks)], stages=5)))
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        for element in root.iter(f"{SVG}text"):
            assert 0 < float(element.attrib["x"]) < width
            assert 0 < float(element.attrib["y"]) < height


@given(st.lists(st.text("abcdef", min_size=1), max_size=40, unique=True))
def test_up_to_forty_tasks_have_forty_colours_in_any_order(names: list[str]):
    assert len(set(colours(names).values())) == len(names)
    assert colours(names) == colours(names[::-1])


def test_the_first_eight_colours_are_apart_when_red_and_green_are_not():
    # G. M. Machado et al., "A physiologically-based model for simulation of color vision
    # deficiency", TVCG 2009, table 1 at severity 1, on linear light
    blind = {
        "protan": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
        "deutan": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    }
    eight = [bytes.fromhex(code[1:]) for code in colours([str(n) for n in range(8)]).values()]
    for matrix in blind.values():
        seen = [
            [
                max(0, sum(m * (c / 255) ** 2.2 for m, c in zip(row, code, strict=True)))
                ** (1 / 2.2)
                for row in matrix
            ]
            for code in eight
        ]
        for n, one in enumerate(seen):
            for other in seen[:n]:
                assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 0.09
