"""Rays against spheres, boxes and cylinders in a room: what every pixel sees, exactly.

Each solid is a unit shape under an affine map, so that a ray's distance can be found in local
coordinates, where the sphere is |q| <= 1, the box max |q_i| <= 1, and the cylinder the part
|q_y| <= 1 of q_x^2 + q_z^2 <= 1.

Shape letters: K = solids, the room included, P = pixels, X = 3 coordinates. The world has y up; so
have cameras, which look along -z.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float32, Int

_TINY = np.float32(1e-12)
#: How far off its surface a shadow ray starts, in world units.
_OFFSET = np.float32(1e-3)


class Shape(IntEnum):
    """What a solid is. The room is a box seen from inside."""

    ROOM = 0
    SPHERE = 1
    BOX = 2
    CYLINDER = 3


@dataclass(frozen=True, slots=True, eq=False)
class Solids:
    """A room and what stands in it.

    Attributes:
        shapes: Each solid's ``Shape``, ascending; the first, and no other, is the room.
        centres: In world units.
        rotations: Columns are a solid's own axes in the world.
        extents: Half the size along each of these axes, in world units.
    """

    shapes: Int[np.ndarray, " K"]
    centres: Float32[np.ndarray, "K X"]
    rotations: Float32[np.ndarray, "K X X"]
    extents: Float32[np.ndarray, "K X"]

    def __post_init__(self) -> None:
        rooms = np.count_nonzero(self.shapes == Shape.ROOM)
        if rooms != 1 or (np.diff(self.shapes) < 0).any():
            raise ValueError(f"shapes are not one room and then ascending: {self.shapes}")

    @property
    def inverses(self) -> Float32[np.ndarray, "K X X"]:
        """From offsets in the world to local coordinates."""
        inverses: np.ndarray = self.rotations.transpose(0, 2, 1) / self.extents[:, :, None]
        return inverses


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera with square pictures.

    Attributes:
        position: In the world.
        rotation: Columns are its right, its up and its backwards in the world.
        tangent: Of half its field of view.
    """

    position: Float32[np.ndarray, " X"]
    rotation: Float32[np.ndarray, "X X"]
    tangent: float

    def rays(self, size: int) -> Float32[np.ndarray, "X P"]:
        """Unit rays in camera coordinates through size x size pixels, row by row from above."""
        across = (
            (np.arange(size, dtype=np.float32) * 2 + 1 - size) / size * np.float32(self.tangent)
        )
        rays = np.empty((3, size, size), np.float32)
        rays[0], rays[1], rays[2] = across, -across[:, None], -1
        rays /= np.sqrt(np.square(rays).sum(axis=0))
        return rays.reshape(3, -1)


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What rays meet first.

    Attributes:
        solids: The number of the solid.
        distances: From the origin, in world units.
        points: In the world.
        locals: The same points along each solid's own axes from its centre, in world units.
        normals: Of the surface, in the world, unit length, towards the origin.
    """

    solids: Int[np.ndarray, " P"]
    distances: Float32[np.ndarray, " P"]
    points: Float32[np.ndarray, "X P"]
    locals: Float32[np.ndarray, "X P"]
    normals: Float32[np.ndarray, "X P"]


def cast(
    solids: Solids, origin: Float32[np.ndarray, " X"], rays: Float32[np.ndarray, "X P"]
) -> Hits:
    """Follow unit rays from a point in the room, outside of all solids, to what they meet first."""
    inverses = solids.inverses
    origins_KX1 = inverses @ (origin - solids.centres)[:, :, None]
    near_KP, far_KP = _spans(solids.shapes, origins_KX1, inverses @ rays)
    distances_KP = np.where((near_KP < far_KP) & (near_KP > 0), near_KP, np.float32(np.inf))
    distances_KP[0] = far_KP[0]
    hit = distances_KP.argmin(axis=0)
    distances = np.take_along_axis(distances_KP, hit[None], axis=0)[0]
    points = origin[:, None] + distances * rays
    maps_XXP = inverses.transpose(1, 2, 0).take(hit, axis=2)
    local = np.einsum("ijp,jp->ip", maps_XXP, points - solids.centres.T.take(hit, axis=1))
    gradient = np.einsum("ijp,ip->jp", maps_XXP, _gradients(solids.shapes[hit], local))
    normals = gradient / np.sqrt(np.einsum("ip,ip->p", gradient, gradient))
    return Hits(hit, distances, points, local * solids.extents.T.take(hit, axis=1), normals)


def shadowed(
    solids: Solids, hits: Hits, light: Float32[np.ndarray, " X"]
) -> Bool[np.ndarray, " P"]:
    """Whether a solid stands between a point and the light; ``light`` points towards it."""
    inverses = solids.inverses[1:]
    starts_KXP = hits.points + _OFFSET * hits.normals - solids.centres[1:, :, None]
    near_KP, far_KP = _spans(solids.shapes[1:], inverses @ starts_KXP, inverses @ light[:, None])
    dark: np.ndarray = np.logical_or.reduce((near_KP < far_KP) & (far_KP > 0), axis=0)
    return dark


def _spans(
    shapes: Int[np.ndarray, " K"],
    origins: Float32[np.ndarray, "K X _"],
    rays: Float32[np.ndarray, "K X _"],
) -> tuple[Float32[np.ndarray, "K P"], Float32[np.ndarray, "K P"]]:
    """Where rays enter and leave each solid, in local coordinates; near > far where they miss."""
    first = np.searchsorted(shapes, [Shape.SPHERE, Shape.BOX, Shape.CYLINDER, Shape.CYLINDER + 1])
    room, spheres, boxes, cylinders = (
        slice(start, stop) for start, stop in zip([0, *first[:-1]], first, strict=True)
    )
    near, far = np.empty((2, len(shapes), max(origins.shape[2], rays.shape[2])), np.float32)
    near[room], far[room] = _slabs(origins[room], rays[room])
    near[spheres], far[spheres] = _round(origins[spheres], rays[spheres])
    near[boxes], far[boxes] = _slabs(origins[boxes], rays[boxes])
    side_near, side_far = _round(origins[cylinders, ::2], rays[cylinders, ::2])
    caps_near, caps_far = _slabs(origins[cylinders, 1:2], rays[cylinders, 1:2])
    near[cylinders] = np.maximum(side_near, caps_near)
    far[cylinders] = np.minimum(side_far, caps_far)
    return near, far


def _slabs(
    origins: Float32[np.ndarray, "K axes _"], rays: Float32[np.ndarray, "K axes _"]
) -> tuple[Float32[np.ndarray, "K P"], Float32[np.ndarray, "K P"]]:
    """Where every coordinate is in [-1, 1]."""
    inverse = 1 / (rays + _TINY)
    middle, half = -origins * inverse, np.abs(inverse)
    return (middle - half).max(axis=1), (middle + half).min(axis=1)


def _round(
    origins: Float32[np.ndarray, "K axes _"], rays: Float32[np.ndarray, "K axes _"]
) -> tuple[Float32[np.ndarray, "K P"], Float32[np.ndarray, "K P"]]:
    """Where the coordinates' squares sum to at most 1."""
    square = np.maximum(np.einsum("kap,kap->kp", rays, rays), _TINY)
    middle = -np.einsum("kap,kap->kp", origins, rays) / square
    # from the ray's point nearest to the centre: the textbook's b^2 - ac cancels in float32
    nearest = origins + middle[:, None] * rays
    inside = 1 - np.einsum("kap,kap->kp", nearest, nearest)
    half = np.sqrt(np.maximum(inside, 0) / square)
    return np.where(inside > 0, middle - half, np.float32(np.inf)), middle + half


def _gradients(
    shapes: Int[np.ndarray, " P"], local: Float32[np.ndarray, "X P"]
) -> Float32[np.ndarray, "X P"]:
    """Outward (in a room inward) normals in local coordinates, of any length."""
    size = np.abs(local)
    flat = np.where(size == size.max(axis=0), np.sign(local), 0)
    cylinder = local.copy()
    on_cap = np.square(local[1]) > np.square(local[0]) + np.square(local[2])
    cylinder[1] *= on_cap
    cylinder[::2] *= ~on_cap
    outward = np.where(
        shapes == Shape.SPHERE, local, np.where(shapes == Shape.CYLINDER, cylinder, flat)
    )
    return np.where(shapes == Shape.ROOM, -outward, outward)
