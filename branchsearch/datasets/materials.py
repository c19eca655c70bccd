"""What surfaces are made of, and how they look in a light.

Shape letters: M = materials, P = pixels, X = 3 coordinates, C = 3 colours. All colours are linear
intensities in [0, 1].
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int

#: Plain, checker, stripes, marble.
PATTERNS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Materials:
    """Two colours and a pattern in space that mixes them.

    Attributes:
        patterns: Numbers below ``PATTERNS``.
        frames: From coordinates in a solid to the pattern's own, where its cells have size 1.
        phases: Where the pattern starts.
        colours: The pattern's two.
        gloss: Strength of the highlight.
    """

    patterns: Int[np.ndarray, " M"]
    frames: Float32[np.ndarray, "M X X"]
    phases: Float32[np.ndarray, "M X"]
    colours: Float32[np.ndarray, "M 2 C"]
    gloss: Float32[np.ndarray, " M"]

    def albedo(
        self,
        material: Int[np.ndarray, " P"],
        points: Float32[np.ndarray, "X P"],
        footprints: Float32[np.ndarray, " P"],
    ) -> Float32[np.ndarray, "C P"]:
        """Colours at points in their solids' coordinates.

        Args:
            material: Of every point.
            points: In world units.
            footprints: How much of the surface, in world units, a pixel covers. A pattern fades to
                its mean where that is more than a cell.
        """
        frames_XXP = self.frames.transpose(1, 2, 0).take(material, axis=2)
        cells = np.einsum("ijp,jp->ip", frames_XXP, points)
        cells += self.phases.T.take(material, axis=1)
        pattern = self.patterns[material]
        mix = np.zeros_like(footprints)
        for number, values in enumerate(_patterns(cells), start=1):
            np.copyto(mix, values, where=pattern == number)
        blur = footprints * np.linalg.norm(self.frames[:, 0], axis=1)[material]
        mix = 0.5 + (mix - 0.5) * np.clip(1.5 - blur, 0, 1)
        first, second = self.colours.transpose(1, 2, 0).take(material, axis=2)
        albedo: np.ndarray = first + mix * (second - first)
        return albedo


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """A far lamp and light from everywhere.

    Attributes:
        direction: Unit vector towards the lamp, in the world.
        lamp: Its colour.
        ambient: The colour of the light from everywhere, a third less from below.
        shadows: Whether solids cast them.
    """

    direction: Float32[np.ndarray, " X"]
    lamp: Float32[np.ndarray, " C"]
    ambient: Float32[np.ndarray, " C"]
    shadows: bool


def shade(
    albedo: Float32[np.ndarray, "C P"],
    gloss: Float32[np.ndarray, " P"],
    normals: Float32[np.ndarray, "X P"],
    rays: Float32[np.ndarray, "X P"],
    dark: Bool[np.ndarray, " P"],
    light: Light,
) -> Float32[np.ndarray, "C P"]:
    """Diffuse light and a highlight (Blinn and Phong's), seen along unit rays."""
    facing = np.where(dark, 0, np.maximum(light.direction @ normals, 0))
    halfway = light.direction[:, None] - rays
    halfway /= np.sqrt(np.einsum("xp,xp->p", halfway, halfway))
    highlight = np.maximum(np.einsum("xp,xp->p", halfway, normals), 0)
    for _ in range(5):  # to the power of 32, ten times faster than numpy's
        highlight *= highlight
    ambient = light.ambient[:, None] * ((5 + normals[1]) / 6)
    colours: np.ndarray = albedo * (ambient + light.lamp[:, None] * facing)
    colours += light.lamp[:, None] * (gloss * highlight * (facing > 0))
    return colours


def _patterns(cells: Float32[np.ndarray, "X P"]) -> list[Float32[np.ndarray, " P"]]:
    """Checker, stripes and marble, in [0, 1]."""
    steps = np.floor(cells).sum(axis=0) / 2
    checker = 2 * (steps - np.floor(steps))
    stripes = 0.5 + 0.5 * np.sin(np.float32(np.pi) * cells[0])
    warp = 2 * np.sin(np.float32(1.3) * cells[1]) + np.sin(np.float32(2.9) * cells[2])
    marble = 0.5 + 0.25 * (np.sin(cells[0] + warp) + np.sin(np.float32(2.3) * cells[2] - warp))
    return [checker, stripes, marble]
