import io

import numpy as np
import pytest
from PIL import Image

from branchsearch.drawing.png import png
from branchsearch.drawing.svg import svg
from branchsearch.tree import Tree

TREE = Tree.parse("depth+normals+seg > depth+normals,seg")


def pixels(tree: Tree, zoom: float = 1) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png(tree, zoom=zoom))).convert("RGB"))


def test_a_picture_is_as_large_as_the_drawing_times_the_zoom():
    height, width, _ = pixels(TREE).shape
    assert f'viewBox="0 0 {width} {height}"' in svg(TREE)
    assert pixels(TREE, zoom=2).shape == (2 * height, 2 * width, 3)


def test_names_are_written_with_the_font_that_comes_along():
    one, other = (pixels(Tree.parse(f"depth+{name} > depth,{name}")) for name in ("sum", "sun"))
    assert one.shape == other.shape
    differ = np.argwhere((one != other).any(axis=2))
    assert len(differ)
    assert differ[:, 1].min() > 0.75 * one.shape[1]  # where the heads' names stand


def test_tasks_have_their_colours():
    drawn = {tuple(colour) for colour in pixels(TREE).reshape(-1, 3)}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73)} <= drawn


def test_a_zoom_of_nothing_is_refused():
    with pytest.raises(ValueError, match="above 0, not 0"):
        png(TREE, zoom=0)
