import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchsearch.datasets.composition import Scene, compose
from branchsearch.datasets.raycast import Camera, Hits, Shape, Solids, cast, shadowed

SIZE = 48

seeds = st.integers(0, 2**63)


def look(scene: Scene, size: int = SIZE) -> tuple[np.ndarray, Hits]:
    """The world's rays [3, P] of a scene's camera, and what they meet."""
    rays = scene.camera.rotation @ scene.camera.rays(size)
    return rays, cast(scene.solids, scene.camera.position, rays)


def local(solids: Solids, solid: int, points: np.ndarray) -> np.ndarray:
    """Points [3, N] where the solid is a unit shape, from the definition and in float64."""
    offsets = points.astype(float) - solids.centres[solid].astype(float)[:, None]
    return solids.rotations[solid].astype(float).T @ offsets / solids.extents[solid][:, None]


def excess(shape: Shape, points: np.ndarray) -> np.ndarray:
    """Below 0 inside a unit shape, 0 on its surface, above 0 outside, for local points [3, N]."""
    x, y, z = points
    if shape == Shape.SPHERE:
        return np.sqrt(x**2 + y**2 + z**2) - 1
    if shape == Shape.CYLINDER:
        return np.maximum(np.hypot(x, z), np.abs(y)) - 1
    return np.abs(points).max(axis=0) - 1


@given(seeds)
def test_every_ray_ends_on_the_surface_of_the_solid_it_names(seed: int):
    scene = compose(np.random.default_rng(seed))
    _, seen = look(scene)
    for solid, shape in enumerate(scene.solids.shapes):
        points = local(scene.solids, solid, seen.points[:, seen.solids == solid])
        np.testing.assert_allclose(excess(shape, points), 0, atol=1e-4)


@settings(deadline=None)
@given(seeds)
def test_nothing_stands_between_the_camera_and_what_it_sees(seed: int):
    scene = compose(np.random.default_rng(seed))
    rays, seen = look(scene, size=16)
    for way in np.linspace(0, 0.999, 60):
        points = scene.camera.position[:, None] + way * seen.distances * rays
        for solid, shape in enumerate(scene.solids.shapes):
            depth = excess(shape, local(scene.solids, solid, points))
            assert (depth < 1e-3).all() if shape == Shape.ROOM else (depth > -1e-3).all()


@given(seeds)
def test_normals_have_unit_length_and_face_the_camera(seed: int):
    rays, seen = look(compose(np.random.default_rng(seed)))
    np.testing.assert_allclose(np.linalg.norm(seen.normals, axis=0), 1, atol=1e-5)
    assert ((seen.normals * rays).sum(axis=0) < 1e-4).all()


@given(seeds)
def test_normals_are_those_of_the_surface_that_the_distances_span(seed: int):
    """Back-projected neighbours span the surface; where it is flat enough, their cross product
    is its normal. Uses the camera and the distances alone."""
    size = 96
    camera = compose(np.random.default_rng(seed)).camera
    _, seen = look(compose(np.random.default_rng(seed)), size)
    points = (camera.rays(size) * seen.distances).reshape(3, size, size)
    across = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
    upwards = points[:, :-2, 1:-1] - points[:, 2:, 1:-1]
    spanned = np.cross(across, upwards, axis=0)
    spanned /= np.linalg.norm(spanned, axis=0)
    normals = (camera.rotation.T @ seen.normals).reshape(3, size, size)
    centre = normals[:, 1:-1, 1:-1]
    smooth = np.ones(centre.shape[1:], bool)
    for rows, columns in [(0, 1), (2, 1), (1, 0), (1, 2)]:
        other = normals[:, rows : rows + size - 2, columns : columns + size - 2]
        smooth &= (other * centre).sum(axis=0) > np.cos(np.radians(12))
        same = seen.solids.reshape(size, size)
        smooth &= same[rows : rows + size - 2, columns : columns + size - 2] == same[1:-1, 1:-1]
    assert smooth.mean() > 0.5
    angles = np.degrees(np.arccos(np.clip((spanned * centre).sum(axis=0)[smooth], -1, 1)))
    assert np.quantile(angles, 0.99) < 3
    assert angles.max() < 15


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_point_is_dark_exactly_where_the_way_to_the_lamp_meets_a_solid(seed: int):
    scene = compose(np.random.default_rng(seed))
    _, seen = look(scene, size=8)
    dark = shadowed(scene.solids, seen, scene.light.direction)
    deepest = np.full(dark.shape, np.inf)
    for way in np.linspace(0.01, 16, 1000):
        points = seen.points + way * scene.light.direction[:, None]
        for solid, shape in enumerate(scene.solids.shapes[1:], start=1):
            depth = excess(shape, local(scene.solids, solid, points))
            deepest = np.minimum(deepest, depth)
    clear = np.abs(deepest) > 0.05  # the march's steps miss what is thinner
    np.testing.assert_array_equal(dark[clear], deepest[clear] < 0)


def lone(shape: Shape) -> Solids:
    """One solid of radius 1, three units before a camera at the origin."""
    return Solids(
        np.array([Shape.ROOM, shape]),
        np.float32([[0, 0, 0], [0, 0, -3]]),
        np.float32([np.eye(3)] * 2),
        np.float32([[10, 10, 10], [1, 1, 1]]),
    )


@pytest.mark.parametrize("shape", [Shape.SPHERE, Shape.BOX, Shape.CYLINDER])
@given(seeds)
def test_a_lone_solid_is_dark_exactly_where_it_turns_from_the_lamp(shape: Shape, seed: int):
    light = np.random.default_rng(seed).standard_normal(3).astype(np.float32)
    light /= np.linalg.norm(light)
    rays = Camera(np.zeros(3, np.float32), np.eye(3, dtype=np.float32), 0.5).rays(16)
    seen = cast(lone(shape), np.zeros(3, np.float32), rays)
    facing = light @ seen.normals
    clear = (seen.solids == 1) & (np.abs(facing) > 0.1)
    np.testing.assert_array_equal(shadowed(lone(shape), seen, light)[clear], facing[clear] < 0)


@given(seeds)
def test_what_stands_touches_the_floor_and_nothing_is_below_it(seed: int):
    rng = np.random.default_rng(seed)
    solids = compose(rng).solids
    ways = np.sign(rng.standard_normal((3, 4000))) * rng.random((3, 4000))
    ways[:, :8] = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, 8)
    for solid, shape in enumerate(solids.shapes[1:], start=1):
        surface = ways / (excess(shape, ways) + 1)
        heights = solids.centres[solid, 1] + solids.rotations[solid, 1] @ (
            solids.extents[solid][:, None] * surface
        )
        assert heights.min() > -1e-5
        assert heights.min() < 0.05 or heights.min() > 0.095


def test_a_sphere_by_hand():
    solids = lone(Shape.SPHERE)
    seen = cast(solids, np.zeros(3, np.float32), np.float32([[0, 0], [0, 1], [-1, 0]]))
    assert seen.solids.tolist() == [1, 0]
    np.testing.assert_allclose(seen.distances, [2, 10])
    np.testing.assert_allclose(seen.normals, [[0, 0], [0, -1], [1, 0]], atol=1e-6)


def test_the_first_row_looks_up_and_the_last_column_right():
    rays = Camera(np.zeros(3, np.float32), np.eye(3, dtype=np.float32), 1.0).rays(8)
    right, up, back = rays.reshape(3, 8, 8)
    assert (up[0] > 0).all()
    assert (right[:, -1] > 0).all()
    assert (back < 0).all()


@pytest.mark.parametrize("shapes", [[1, 2], [0, 2, 1], [0, 0, 1]])
def test_solids_are_one_room_and_then_ascending(shapes: list[int]):
    count = len(shapes)
    with pytest.raises(ValueError, match="one room"):
        Solids(
            np.array(shapes),
            np.zeros((count, 3), np.float32),
            np.zeros((count, 3, 3), np.float32),
            np.ones((count, 3), np.float32),
        )
