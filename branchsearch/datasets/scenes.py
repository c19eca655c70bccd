"""Ray-cast scenes of spheres, boxes and cylinders, with exact truth for four tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int

from branchsearch.datasets.composition import DIFFICULTIES, Scene, compose
from branchsearch.datasets.dataset import PARTS, Dataset, Label
from branchsearch.datasets.materials import shade
from branchsearch.datasets.raycast import Hits, Shape, cast, shadowed
from branchsearch.datasets.store import stored

#: Raised when the pictures change, so that nobody reads another version's from disk.
VERSION = 1

LABELS = {
    "seg": Label(
        "segmentation", classes=len(Shape), names=tuple(shape.name.lower() for shape in Shape)
    ),
    "depth": Label("depth", logarithmic=True),
    "normals": Label("normals"),
    "edges": Label("edges"),
}


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Random scenes, drawn when they are first opened and kept in a folder.

    The labels are ``seg`` (0 room, 1 sphere, 2 box, 3 cylinder), ``depth``, ``normals`` and
    ``edges`` (the nearer pixel of two neighbours that see different solids). Image i of a part
    depends on the seed, the part and i alone.

    Attributes:
        size: Height and width of the images, in pixels, 8 to 256.
        train: Images to learn on; like the other three counts, at least 1.
        validation: Images to choose by.
        test: Images to judge on.
        probe: Images to compare features on.
        seed: Any number that is not negative.
        difficulty: ``easy`` (1 to 4 solids, no noise), ``normal`` (2 to 7) or ``hard`` (5 to 9,
            in little light, much noise).

    Raises:
        ValueError: A number is out of range, or there is no such difficulty.
    """

    size: int
    train: int
    validation: int
    test: int
    probe: int
    seed: int
    difficulty: str = "normal"

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 256:
            raise ValueError(f"size must be 8 to 256 pixels, got {self.size}")
        for part, count in self.counts.items():
            if count < 1:
                raise ValueError(f"{part} must be at least 1 image, got {count}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        if self.difficulty not in DIFFICULTIES:
            there_are = ", ".join(DIFFICULTIES)
            raise ValueError(f"difficulty must be one of {there_are}, got {self.difficulty!r}")

    @property
    def labels(self) -> Mapping[str, Label]:
        """What the images are labelled with, by name."""
        return LABELS

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        return self.size, self.size

    @property
    def counts(self) -> Mapping[str, int]:
        """How many images each part has."""
        return {part: getattr(self, part) for part in PARTS}

    @property
    def content(self) -> str:
        """Nothing: it follows from the arguments."""
        return ""

    def open(self, folder: Path) -> Dataset:
        """Open the scenes in a folder of their own below ``folder``; the first caller draws them.

        Raises:
            OSError: The folder cannot be written or read.
        """
        counts = "-".join(map(str, self.counts.values()))
        hard = "" if self.difficulty == "normal" else f"-{self.difficulty}"
        name = f"scenes-v{VERSION}-{self.size}px-{counts}-seed{self.seed}{hard}"
        return stored(folder / name, LABELS, self.counts, self._draw)

    def _draw(self, part: str, index: int) -> dict[str, np.ndarray]:
        key = np.random.SeedSequence(self.seed, spawn_key=(PARTS.index(part), index))
        rng = np.random.default_rng(key)
        return picture(compose(rng, DIFFICULTIES[self.difficulty]), self.size, rng)


def picture(scene: Scene, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A scene's image, with a sensor's noise, and its exact targets, as ``Part`` holds them."""
    camera = scene.camera
    rays = camera.rotation @ camera.rays(size)
    seen = cast(scene.solids, camera.position, rays)
    square = (size, size)
    classes = scene.solids.shapes[seen.solids].astype(np.uint8)
    edge = edges(seen.solids.reshape(square), seen.distances.reshape(square))
    return {
        "images": _image(scene, rays, seen, size, rng),
        "seg": classes.reshape(square),
        "depth": np.log(seen.distances).astype(np.float16).reshape(1, *square),
        "normals": (camera.rotation.T @ seen.normals).astype(np.float16).reshape(3, *square),
        "edges": edge.astype(np.uint8)[None],
    }


def edges(
    solids: Int[np.ndarray, "H W"], distances: Float32[np.ndarray, "H W"]
) -> Bool[np.ndarray, "H W"]:
    """Of two neighbours that see different solids, the one that belongs to the nearer solid.

    The room is behind everything, also where something stands on its floor. One of the two, and not
    both, keeps the line one pixel thick at any size, and on the thing whose outline it is.
    """
    distances = np.where(solids == Shape.ROOM, np.inf, distances)
    edge = np.zeros(solids.shape, bool)
    for left, right in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        change = solids[left] != solids[right]
        nearer = distances[left] < distances[right]
        edge[left] |= change & nearer
        edge[right] |= change & ~nearer
    return edge


def _image(
    scene: Scene,
    rays: Float32[np.ndarray, "3 P"],
    seen: Hits,
    size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The scene in its light, [3, H, W] uint8."""
    wall = (seen.solids == Shape.ROOM) & (seen.normals[1] < 0.5)
    material = np.where(wall, 0, seen.solids + 1)
    slant = np.maximum(-np.einsum("xp,xp->p", seen.normals, rays), 0.05)
    footprints = seen.distances * (2 * scene.camera.tangent / size) / slant
    albedo = scene.materials.albedo(material, seen.locals, footprints)
    dark = (
        shadowed(scene.solids, seen, scene.light.direction)
        if scene.light.shadows
        else np.zeros(seen.solids.shape, bool)
    )
    light = shade(albedo, scene.materials.gloss[material], seen.normals, rays, dark, scene.light)
    noise = np.float32(2 * scene.noise) * (rng.random(light.shape, np.float32) - np.float32(0.5))
    # a square root stands in for a screen's gamma
    colours: np.ndarray = 255 * np.clip(np.sqrt(np.clip(light, 0, 1)) + noise, 0, 1)
    return colours.astype(np.uint8).reshape(3, size, size)
