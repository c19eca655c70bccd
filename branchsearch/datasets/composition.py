"""Random scenes: what stands where, of which material, in which light, seen from where.

Nothing but the outline and the shading tells a shape: places, turns, materials and colours are
drawn without regard to it, and sizes so that each shape covers about as much.

Shape letters: K = solids, the room included, M = materials (the room's walls, its floor, then one
per other solid), X = 3 coordinates.
"""

from dataclasses import dataclass
from math import cos, pi, sin, sqrt

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from branchsearch.datasets.materials import PATTERNS, Light, Materials
from branchsearch.datasets.raycast import Camera, Shape, Solids

#: Which of three drawn sizes each shape's axes take: a sphere's three are one, a cylinder's two.
_SIZES = np.array([[0, 1, 2], [0, 0, 0], [0, 1, 2], [0, 1, 0]])

#: Rotations that stand a solid on each of its sides.
_SIDES = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    ],
    np.float32,
)

#: Factors of the sizes, so that each shape covers about as much of a picture.
_BULK = np.array([1, 1.2, 0.88, 1.02])

#: Solids stand in the fields of a board, x and z in world units, so that few overlap.
_FIELDS = np.array([(x, z) for x in (-1, 0, 1) for z in (-1, 0, 1)]).T

#: Half the room's size, in world units: always around the board and the camera.
_SMALLEST_ROOM, _LARGEST_ROOM = (6, 2.4, 6), (9, 3.2, 9)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All that a picture depends on.

    Attributes:
        solids: The room and what stands in it.
        materials: Of the room's walls, of its floor, and of each other solid.
        light: What lights it.
        camera: What looks at it.
        noise: The greatest error of the sensor, evenly spread, as a part of white.
    """

    solids: Solids
    materials: Materials
    light: Light
    camera: Camera
    noise: float


@dataclass(frozen=True, slots=True)
class Difficulty:
    """How hard scenes are to read.

    Attributes:
        fewest: Solids beside the room, at least.
        most: At most, and at most as many as the board has fields.
        light: Factor of the lamp and of the light from everywhere.
        noise: The greatest noise of a sensor.
    """

    fewest: int
    most: int
    light: float
    noise: float


#: More solids hide each other, less light leaves less to see, and noise more.
DIFFICULTIES = {
    "easy": Difficulty(fewest=1, most=4, light=1.0, noise=0.0),
    "normal": Difficulty(fewest=2, most=7, light=1.0, noise=0.05),
    "hard": Difficulty(fewest=5, most=9, light=0.4, noise=0.2),
}


def compose(rng: np.random.Generator, difficulty: Difficulty = DIFFICULTIES["normal"]) -> Scene:
    """A random scene of some solids in a room."""
    count = int(rng.integers(difficulty.fewest, difficulty.most + 1))
    floating = rng.random(count) < 0.3
    aligned = rng.random(count + 2) < 0.7  # patterns with the floor, or with a solid's own y
    turns = _turns(np.concatenate([[True], ~floating, aligned]), rng)
    solids = _solids(turns[: count + 1], floating, rng)
    return Scene(
        solids,
        _materials(turns[count + 1 :], rng),
        _light(rng, difficulty.light),
        _camera(rng),
        noise=difficulty.noise * rng.random(),
    )


def _solids(
    turns: Float32[np.ndarray, "K X X"],
    floating: Bool[np.ndarray, " K-1"],
    rng: np.random.Generator,
) -> Solids:
    count = len(floating)
    shapes = np.sort(rng.integers(Shape.SPHERE, Shape.CYLINDER + 1, count))
    sizes = rng.uniform(0.22, 0.57, (count, 3))
    extents = np.take_along_axis(sizes, _SIZES[shapes], axis=1) * _BULK[shapes, None]
    rotations = turns.copy()
    rotations[1:] = turns[1:] @ _SIDES[rng.integers(0, len(_SIDES), count)]
    across, lift, along = rng.random((3, count))
    height = _reach(shapes, rotations[1:, 1], extents) + floating * (0.1 + 0.7 * lift)
    fields = _FIELDS[:, rng.permutation(_FIELDS.shape[1])[:count]]
    places = [fields[0] + 0.5 * across - 0.25, height, fields[1] + 0.5 * along - 0.25]
    width, half_height, length = rng.uniform(_SMALLEST_ROOM, _LARGEST_ROOM)
    return Solids(
        np.concatenate([[Shape.ROOM], shapes]),
        np.array([[0, half_height, 0], *np.transpose(places)], np.float32),
        rotations,
        np.array([[width, half_height, length], *extents], np.float32),
    )


def _reach(
    shapes: Int[np.ndarray, " K"],
    ups: Float32[np.ndarray, "K X"],
    extents: Float[np.ndarray, "K X"],
) -> Float[np.ndarray, " K"]:
    """How far a solid reaches down from its centre; ``ups`` is the world's up along its axes."""
    x, y, z = np.abs(ups * extents).T
    no_sphere = np.where(shapes == Shape.CYLINDER, np.hypot(x, z) + y, x + y + z)
    return np.where(shapes == Shape.SPHERE, extents[:, 0], no_sphere)


def _materials(turns: Float32[np.ndarray, "M X X"], rng: np.random.Generator) -> Materials:
    count = len(turns)
    return Materials(
        patterns=rng.integers(0, PATTERNS, count),
        frames=turns * rng.uniform(1.5, 6, (count, 1, 1)).astype(np.float32),  # cells per unit
        phases=10 * rng.random((count, 3), np.float32),
        colours=rng.uniform(0.15, 1, (count, 2, 3)).astype(np.float32) ** 2,
        gloss=0.6 * rng.random(count, np.float32) ** 2,
    )


def _light(rng: np.random.Generator, strength: float) -> Light:
    around, height = 2 * pi * rng.random(), rng.uniform(0.4, 0.95)
    flat = sqrt(1 - height**2)
    lamp, ambient = rng.uniform(0.8, 1.2, (2, 3)).astype(np.float32)
    return Light(
        direction=np.array([flat * cos(around), height, flat * sin(around)], np.float32),
        lamp=lamp * np.float32(strength * rng.uniform(0.5, 1.1)),
        ambient=ambient * np.float32(strength * rng.uniform(0.2, 0.6)),
        shadows=bool(rng.random() < 0.7),
    )


def _camera(rng: np.random.Generator) -> Camera:
    """Looks from a little above at about the middle of the board, never from inside a solid."""
    pitch, roll, distance = rng.uniform(0.15, 0.8), rng.uniform(-0.15, 0.15), rng.uniform(3.4, 4.8)
    target = rng.random(3, np.float32) * [0.8, 0.6, 0.8] + [-0.4, 0.2, -0.3]
    turn = np.array([[cos(roll), -sin(roll), 0], [sin(roll), cos(roll), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, cos(pitch), sin(pitch)], [0, -sin(pitch), cos(pitch)]])
    rotation = tilt @ turn
    position = target + distance * rotation[:, 2]
    return Camera(
        position.astype(np.float32), rotation.astype(np.float32), tangent=rng.uniform(0.36, 0.48)
    )


def _turns(
    upright: Bool[np.ndarray, " n"], rng: np.random.Generator
) -> Float32[np.ndarray, "n X X"]:
    """Uniform turns about y where ``upright``, uniform rotations elsewhere."""
    quaternions = rng.standard_normal((4, len(upright)), np.float32)
    quaternions[1::2, upright] = 0
    w, x, y, z = quaternions / np.sqrt(np.square(quaternions).sum(axis=0))
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)
