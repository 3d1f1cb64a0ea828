from __future__ import annotations

import numpy as np
import pytest

from offline.lift.pixel_mesh import (
    expected_points,
    grid_mesh,
    scatter,
    spacing_for,
    turned_over,
)
from perse_live.camera import Camera
from perse_live.raster import rasterise, vertex_normals

CAMERA = Camera.for_image(96, 96)


def _ball(radius: float = 0.05, distance: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """Depth of a sphere's front, and where it is seen."""
    y, x = np.mgrid[0:96, 0:96] + 0.5
    rays = CAMERA.unproject(np.stack([x, y], -1), np.ones((96, 96)))
    along = rays[..., 2] * distance / (rays**2).sum(-1)
    root = along**2 - (distance**2 - radius**2) / (rays**2).sum(-1)
    return np.where(root > 0, along - np.sqrt(np.maximum(root, 0)), np.inf).astype(
        np.float32
    ), root > 0


@pytest.mark.parametrize("step", [1, 2])
def test_normals_face_the_camera_and_depth_is_kept(step: int) -> None:
    depth, mask = _ball()
    mesh = grid_mesh(CAMERA, depth, mask, step=step)
    normals = vertex_normals(mesh.vertices, mesh.triangles)
    used = np.unique(mesh.triangles)
    facing = -(normals[used] * mesh.vertices[used]).sum(1)
    assert (facing > 0).all()
    sphere = mesh.vertices[used] - [0, 0, 0.4]
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 0.05, atol=1e-4)
    inner = np.linalg.norm(mesh.pixels[used] - 48, axis=1) < 15
    assert ((normals[used] * sphere).sum(1)[inner] / 0.05 > 0.98).all()
    drawn = rasterise(mesh.vertices, mesh.triangles, CAMERA)
    both = drawn.covered & mask
    assert both.sum() > 0.85 * mask.sum()
    np.testing.assert_allclose(drawn.depth[both], depth[both], atol=0.004)
    np.testing.assert_allclose(CAMERA.project(mesh.vertices), mesh.pixels, atol=1e-3)


def test_a_mesh_turned_over_faces_away() -> None:
    mesh = grid_mesh(CAMERA, *_ball())
    back = turned_over(mesh)
    used = np.unique(mesh.triangles)
    np.testing.assert_allclose(
        vertex_normals(back.vertices, back.triangles)[used],
        -vertex_normals(mesh.vertices, mesh.triangles)[used],
        atol=1e-6,
    )


def test_steps_in_depth_tear_the_mesh() -> None:
    depth = np.full((96, 96), 0.5, np.float32)
    depth[:, 48:] = 0.6
    everywhere = np.ones((96, 96), np.bool_)
    whole, torn = (
        grid_mesh(CAMERA, depth, everywhere, largest_step=step) for step in (np.inf, 0.05)
    )
    assert len(torn.triangles) == len(whole.triangles) - 2 * 47
    z = torn.vertices[torn.triangles][:, :, 2]
    assert (z.max(1) - z.min(1) < 0.05).all()


def test_points_are_spread_where_the_spacing_says() -> None:
    mesh = grid_mesh(CAMERA, *_ball())
    left = mesh.vertices[mesh.triangles].mean(1)[:, 0] < 0
    points = scatter(mesh, np.where(left, 0.002, 0.006), rng=np.random.default_rng(0))
    counts = [int((points.means[:, 0] < 0).sum()), int((points.means[:, 0] > 0).sum())]
    assert counts[0] > 5 * counts[1] > 50
    np.testing.assert_allclose(np.linalg.norm(points.normals, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(CAMERA.project(points.means), points.pixels, atol=0.1)


def test_nothing_gives_nothing() -> None:
    mesh = grid_mesh(CAMERA, np.zeros((96, 96), np.float32), np.zeros((96, 96), np.bool_))
    assert len(mesh.vertices) == len(mesh.triangles) == 0
    assert len(scatter(mesh, 0.01, rng=np.random.default_rng(0))) == 0


@pytest.mark.parametrize("count", [400, 1500])
def test_a_number_of_points_is_kept_whatever_the_spacings_relation(count: int) -> None:
    mesh = grid_mesh(CAMERA, *_ball())
    finest = np.where(mesh.pixels[mesh.triangles[:, 0], 0] < 48, 0.001, 0.0015)
    spread = scatter(mesh, spacing_for(mesh, count, finest), rng=np.random.default_rng(0))
    assert len(spread) == pytest.approx(count, rel=0.12)
    enough = expected_points(mesh, finest)
    np.testing.assert_allclose(spacing_for(mesh, 2 * enough, finest), finest)
