"""A tree as a PNG picture: the SVG one, rendered."""

import tempfile
from pathlib import Path

import resvg_py
from PIL import ImageFont

from branchsearch.drawing.svg import svg
from branchsearch.tree import Tree


def png(tree: Tree, *, zoom: float = 2.0) -> bytes:
    """Draw a tree as ``branchsearch.drawing.svg`` does.

    Args:
        tree: What is drawn.
        zoom: Pixels of the picture per pixel of the SVG one, positive.

    Returns:
        The content of a PNG file.

    Raises:
        ValueError: The zoom is not positive.
    """
    if not zoom > 0:
        raise ValueError(f"a picture needs a zoom above 0, not {zoom}")
    with tempfile.NamedTemporaryFile(suffix=".otf") as font:
        # the font that comes with Pillow: a machine may have none, and names would be missing;
        # letters that it lacks are taken from the machine's own fonts
        letters = ImageFont.load_default(12)
        assert isinstance(letters, ImageFont.FreeTypeFont)  # with a size, it always is
        Path(font.name).write_bytes(letters.font_bytes)
        picture = resvg_py.svg_to_bytes(
            svg_string=svg(tree), zoom=zoom, font_files=[font.name], sans_serif_family="Aileron"
        )
    return bytes(picture)
