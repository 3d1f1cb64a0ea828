from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypothesis_profiles import examples
from perse_live.camera import Camera
from perse_live.raster import interpolate, rasterise, vertex_normals

CAMERA = Camera(24, 18, 20.0, 22.0, 11.3, 8.9)


def _soup(seed: int, triangles: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = rng.uniform([-1, -1, 1], [1, 1, 4], (triangles * 3, 3)).astype(np.float32)
    return points, np.arange(triangles * 3, dtype=np.int32).reshape(-1, 3)


def _slow_depth(points: np.ndarray, triangles: np.ndarray, camera: Camera) -> np.ndarray:
    """The nearest hit of a ray through every pixel centre, by solving for barycentrics in space."""
    depth = np.full((camera.height, camera.width), np.inf)
    for y in range(camera.height):
        for x in range(camera.width):
            ray = camera.unproject(np.array([x + 0.5, y + 0.5]), np.array(1.0))
            for corners in points[triangles].astype(np.float64):
                if abs(np.linalg.det(corners.T)) < 1e-12:
                    continue
                # Ray = sum of w_i corner_i, so the hit is ray / sum
                weights = np.linalg.solve(corners.T, ray)
                if weights.min() >= 0 and weights.sum() > 0:
                    depth[y, x] = min(depth[y, x], 1 / weights.sum())
    return depth


@pytest.mark.slow
@examples(8)
@given(st.integers(0, 2**32 - 1))
def test_depth_is_that_of_ray_casting(seed: int) -> None:
    points, triangles = _soup(seed)
    fast, slow = rasterise(points, triangles, CAMERA).depth, _slow_depth(points, triangles, CAMERA)
    same = np.isfinite(fast) == np.isfinite(slow)
    both = np.isfinite(fast) & np.isfinite(slow)
    close = np.abs(np.where(both, fast, 0) - np.where(both, slow, 0)) < 1e-3
    # Pixel centres within rounding of an edge may fall either way
    assert (same & close).mean() > 0.98


@examples(20)
@given(st.integers(0, 2**32 - 1))
def test_interpolated_positions_project_to_their_pixels(seed: int) -> None:
    points, triangles = _soup(seed)
    raster = rasterise(points, triangles, CAMERA)
    where = interpolate(points, triangles, raster)
    rows, columns = np.nonzero(raster.covered)
    hit = where[rows, columns]
    np.testing.assert_allclose(hit[:, 2], raster.depth[rows, columns], rtol=1e-4)
    np.testing.assert_allclose(
        CAMERA.project(hit), np.stack([columns + 0.5, rows + 0.5], 1), atol=2e-2
    )
    np.testing.assert_allclose(raster.barycentrics[rows, columns].sum(1), 1, atol=1e-4)


def test_what_lies_behind_the_camera_is_not_drawn() -> None:
    points = np.array([[-1, -1, -2], [1, -1, -2], [0, 1, -2]], np.float32)
    raster = rasterise(points, np.array([[0, 1, 2]], np.int32), CAMERA)
    assert not raster.covered.any()
    assert np.isinf(raster.depth).all()


def test_vertex_normals_of_a_sphere_point_outwards() -> None:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    height = np.linspace(0.2, np.pi - 0.2, 13)
    ring = np.stack(np.meshgrid(height, angle, indexing="ij"), -1).reshape(-1, 2)
    points = np.stack(
        [
            np.sin(ring[:, 0]) * np.cos(ring[:, 1]),
            np.sin(ring[:, 0]) * np.sin(ring[:, 1]),
            np.cos(ring[:, 0]),
        ],
        1,
    )
    triangles = []
    for i in range(12):
        for j in range(24):
            a, b, c, d = (
                i * 24 + j,
                (i + 1) * 24 + j,
                (i + 1) * 24 + (j + 1) % 24,
                i * 24 + (j + 1) % 24,
            )
            triangles += [(a, b, c), (a, c, d)]
    normals = vertex_normals(points, np.array(triangles, np.int32))
    inside = slice(24, -24)
    assert (normals[inside] * points[inside]).sum(1).min() > 0.99
