"""Meshes over the portrait's pixel grid, and points spread on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.numeric import normalized
from offline.sampling import poisson_disk
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.camera import Camera
from perse_live.raster import vertex_normals

# Points per area that `scatter` gives, times their squared spacing: of a maximal Poisson disk sample
_PACKING = 0.64


@dataclass(frozen=True)
class GridMesh:
    """A surface with one vertex at each of some pixels."""

    vertices: Float32Array
    """(V, 3) metres, camera frame."""
    triangles: Int32Array
    """(T, 3) facing the camera, unless turned over."""
    pixels: Float32Array
    """(V, 2) where each vertex is seen, centres at +0.5."""

    def areas(self) -> FloatArray:
        """Of the triangles (T,), square metres."""
        a, b, c = np.moveaxis(self.vertices[self.triangles], 1, 0)
        return np.asarray(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1))


@dataclass(frozen=True)
class GridPoints:
    """N points spread over a `GridMesh`."""

    means: Float32Array
    """(N, 3) metres, camera frame."""
    normals: FloatArray
    """(N, 3) unit."""
    pixels: Float32Array
    """(N, 2) where each is seen."""
    spacing: Float32Array
    """(N,) metres between neighbours."""

    def __len__(self) -> int:
        return len(self.means)


def grid_mesh(
    camera: Camera,
    depth: Float32Array,
    mask: BoolArray,
    *,
    step: int = 2,
    largest_step: float = np.inf,
) -> GridMesh:
    """Triangles over a masked depth map (H, W), metres along the camera's z.

    step: pixels between vertices; largest_step: metres, quads whose corners differ more in depth are left out.
    """
    height, width = mask.shape
    ys, xs = np.mgrid[0:height:step, 0:width:step]
    inside = mask[ys, xs]
    number = np.full(inside.shape, -1, np.int32)
    number[inside] = np.arange(int(inside.sum()), dtype=np.int32)
    pixels = np.stack([xs[inside], ys[inside]], 1).astype(np.float32) + 0.5
    z = depth[ys[inside], xs[inside]]
    vertices = camera.unproject(pixels, z).astype(np.float32)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    whole = (a >= 0) & (b >= 0) & (c >= 0) & (d >= 0)
    corners = (
        np.stack([z[np.maximum(k, 0)] for k in (a, b, c, d)])
        if len(z)
        else np.zeros((4, *whole.shape))
    )
    whole &= corners.max(0) - corners.min(0) < largest_step
    a, b, c, d = a[whole], b[whole], c[whole], d[whole]
    triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    return GridMesh(vertices, np.ascontiguousarray(triangles, np.int32), pixels)


def turned_over(mesh: GridMesh) -> GridMesh:
    """The same surface facing the other way."""
    return GridMesh(mesh.vertices, np.ascontiguousarray(mesh.triangles[:, [0, 2, 1]]), mesh.pixels)


def scatter(mesh: GridMesh, spacing: FloatArray | float, *, rng: np.random.Generator) -> GridPoints:
    """Spread points evenly. spacing: metres, one or (T,) one for each triangle; <= 0 leaves a triangle empty."""
    vertices, triangles = mesh.vertices, mesh.triangles
    points = poisson_disk(
        vertices, triangles, np.broadcast_to(np.asarray(spacing), (len(triangles),)), rng=rng
    )
    normals = normalized(points.interpolate(vertex_normals(vertices, triangles), triangles))
    pixels = points.interpolate(mesh.pixels, triangles)
    return GridPoints(points.interpolate(vertices, triangles), normals, pixels, points.spacing)


def expected_points(mesh: GridMesh, spacing: FloatArray | float) -> int:
    """About how many points `scatter` spreads. spacing: metres, > 0, one or (T,)."""
    return round(_PACKING * float((mesh.areas() / np.square(spacing)).sum()))


def spacing_for(mesh: GridMesh, count: float, finest: FloatArray | float) -> FloatArray:
    """Spacing that gives about `count` points at most. finest: metres, one or (T,), the spacing if they suffice."""
    return np.asarray(finest) * np.sqrt(max(1.0, expected_points(mesh, finest) / max(count, 1.0)))
