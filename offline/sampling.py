"""Even sampling of triangle meshes: Poisson-disk points with a spacing per triangle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.numeric import ratio
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.jit import kernel


@dataclass(frozen=True)
class SurfacePoints:
    """Points on a mesh."""

    triangle: Int32Array
    """(N,) index of the triangle."""
    barycentric: Float32Array
    """(N, 3) weights of its corners, sum 1."""
    spacing: Float32Array
    """(N,) least distance to the neighbours, metres."""

    def __len__(self) -> int:
        return len(self.triangle)

    def select(self, keep: BoolArray) -> SurfacePoints:
        """The points at which `keep` (N,) is true."""
        return SurfacePoints(self.triangle[keep], self.barycentric[keep], self.spacing[keep])

    def interpolate(self, values: FloatArray, triangles: Int32Array) -> Float32Array:
        """A per-vertex quantity at the points.

        values: (V, C) or (V,); triangles: (T, 3). Returns (N, C) or (N,).
        """
        corners = values[triangles[self.triangle]]
        weights = self.barycentric if values.ndim == 1 else self.barycentric[:, :, None]
        return (corners * weights).sum(1).astype(np.float32)


def triangle_areas(vertices: FloatArray, triangles: Int32Array) -> FloatArray:
    """(T,) square metres. vertices: (V, 3); triangles: (T, 3)."""
    a, b, c = (vertices[triangles[:, k]].astype(np.float64) for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def poisson_disk(
    vertices: FloatArray,  # (V, 3) metres
    triangles: Int32Array,  # (T, 3)
    spacing: FloatArray,  # (T,) metres; <= 0 leaves a triangle empty
    *,
    rng: np.random.Generator,
    oversampling: float = 16.0,
) -> SurfacePoints:
    """Dart throwing on a mesh: random area-uniform candidates, each kept if no kept point lies within its spacing.

    A hexagonal packing has 1 / (0.866 spacing^2) points per area; `oversampling` times as many candidates leave few gaps for
    another. Of two points with different spacing the smaller one counts.
    """
    area = triangle_areas(vertices, triangles)
    active = spacing > 0
    density = np.where(active, ratio(area, np.sqrt(0.75) * spacing**2), 0.0)
    count = int(density.sum() * oversampling)
    if count == 0:
        return SurfacePoints(
            np.zeros(0, np.int32), np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
        )
    picked = rng.choice(len(triangles), count, p=density / density.sum()).astype(np.int32)
    root, second = np.sqrt(rng.random(count)), rng.random(count)
    barycentric = np.stack([1 - root, root * (1 - second), root * second], 1)
    points = np.einsum("nk,nkc->nc", barycentric, vertices[triangles[picked]])
    radius = spacing[picked].astype(np.float32)
    cell = float(radius.max())
    cells = np.floor((points - points.min(0)) / cell).astype(np.int64)
    shape = cells.max(0) + 3
    keep = _thin(points.astype(np.float32), radius, cells + 1, shape)
    return SurfacePoints(picked[keep], barycentric[keep].astype(np.float32), radius[keep])


@kernel
def _thin(
    points: Float32Array, radius: Float32Array, cells: FloatArray, shape: FloatArray
) -> BoolArray:
    keep = np.zeros(len(points), np.bool_)
    head = np.full(shape[0] * shape[1] * shape[2], -1, np.int64)  # first kept point of each cell
    following = np.full(len(points), -1, np.int64)  # next kept point of the same cell
    for i in range(len(points)):
        free = True
        for dx in range(-1, 2):
            for dy in range(-1, 2):
                for dz in range(-1, 2):
                    cell = (
                        ((cells[i, 0] + dx) * shape[1] + cells[i, 1] + dy) * shape[2]
                        + cells[i, 2]
                        + dz
                    )
                    j = head[cell]
                    while j >= 0 and free:
                        x = points[i, 0] - points[j, 0]
                        y = points[i, 1] - points[j, 1]
                        z = points[i, 2] - points[j, 2]
                        r = min(radius[i], radius[j])
                        if x * x + y * y + z * z < r * r:
                            free = False
                        j = following[j]
        if free:
            keep[i] = True
            cell = (cells[i, 0] * shape[1] + cells[i, 1]) * shape[2] + cells[i, 2]
            following[i] = head[cell]
            head[cell] = i
    return keep
