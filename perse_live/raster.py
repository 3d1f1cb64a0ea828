"""A z-buffer for triangle meshes: which triangle each pixel sees, where in it, and how far away.

Method: edge functions with top-left-free coverage (a pixel on a shared edge goes to the nearer, else to the first triangle) and
perspective-correct barycentrics by linear interpolation of 1/z (Pineda, SIGGRAPH 1988; Heckbert & Moreton 1991).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.camera import Camera
from perse_live.jit import kernel

_NEAR = 1e-3  # metres; triangles with a vertex nearer than this are dropped, not clipped


@dataclass(frozen=True)
class RasterResult:
    """What each pixel of a view sees."""

    depth: Float32Array
    """(H, W) metres along the camera's z; infinite where nothing is seen."""
    triangle_ids: Int32Array
    """(H, W) row of the triangle list, -1 where nothing is seen."""
    barycentrics: Float32Array
    """(H, W, 3) perspective-correct weights of the triangle's corners; 0 where nothing is seen."""

    @property
    def covered(self) -> BoolArray:
        """(H, W) where some triangle is seen."""
        return self.triangle_ids >= 0


@kernel
def _rasterise(
    pixels: Float32Array,
    depths: Float32Array,
    triangles: Int32Array,
    depth: Float32Array,
    ids: Int32Array,
    barycentrics: Float32Array,
) -> None:
    height, width = depth.shape
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        za, zb, zc = depths[a], depths[b], depths[c]
        if za < _NEAR or zb < _NEAR or zc < _NEAR:
            continue
        # pixel centres at +0.5: work in a frame in which they are whole numbers
        ax, ay = pixels[a, 0] - 0.5, pixels[a, 1] - 0.5
        bx, by = pixels[b, 0] - 0.5, pixels[b, 1] - 0.5
        cx, cy = pixels[c, 0] - 0.5, pixels[c, 1] - 0.5
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9:
            continue
        left, right = min(ax, bx, cx), max(ax, bx, cx)
        top, bottom = min(ay, by, cy), max(ay, by, cy)
        if right < 0 or bottom < 0 or left > width - 1 or top > height - 1:
            continue
        x0, x1 = max(0, int(np.ceil(left - 1e-4))), min(width - 1, int(np.floor(right + 1e-4)))
        y0, y1 = max(0, int(np.ceil(top - 1e-4))), min(height - 1, int(np.floor(bottom + 1e-4)))
        inverse_area = 1.0 / area
        ia, ib, ic = 1.0 / za, 1.0 / zb, 1.0 / zc
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                wa = ((bx - x) * (cy - y) - (cx - x) * (by - y)) * inverse_area
                wb = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) * inverse_area
                wc = 1.0 - wa - wb
                if wa < -1e-6 or wb < -1e-6 or wc < -1e-6:
                    continue
                pa, pb, pc = wa * ia, wb * ib, wc * ic
                z = 1.0 / (pa + pb + pc)
                if z < depth[y, x]:
                    depth[y, x] = z
                    ids[y, x] = f
                    barycentrics[y, x, 0] = pa * z
                    barycentrics[y, x, 1] = pb * z
                    barycentrics[y, x, 2] = pc * z


def rasterise(vertices: FloatArray, triangles: Int32Array, camera: Camera) -> RasterResult:
    """Draw a mesh into a z-buffer; both sides of a triangle are seen.

    vertices: (V, 3) metres, camera frame; triangles: (T, 3). Triangles that come within 1 mm of the camera's plane are left out.
    """
    z = np.ascontiguousarray(vertices[:, 2], np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = np.ascontiguousarray(camera.project(vertices), np.float32)
    pixels[z < _NEAR] = 0  # never read, but the kernel must see finite numbers
    return rasterise_projected(pixels, z, triangles, camera.width, camera.height)


def rasterise_projected(
    pixels: Float32Array, depths: Float32Array, triangles: Int32Array, width: int, height: int
) -> RasterResult:
    """Draw a mesh whose vertices are projected already.

    pixels: (V, 2); depths: (V,) metres along the camera's z; triangles: (T, 3); width, height: of the picture, pixels.
    """
    depth = np.full((height, width), np.float32(1e30))
    ids = np.full((height, width), -1, np.int32)
    barycentrics = np.zeros((height, width, 3), np.float32)
    _rasterise(
        np.ascontiguousarray(pixels, np.float32),
        np.ascontiguousarray(depths, np.float32),
        np.ascontiguousarray(triangles, np.int32),
        depth,
        ids,
        barycentrics,
    )
    depth[ids < 0] = np.inf
    return RasterResult(depth, ids, barycentrics)


def interpolate(
    attributes: FloatArray, triangles: Int32Array, raster: RasterResult
) -> Float32Array:
    """Vertex attributes at every pixel.

    attributes: (V, C) or (V,); triangles: (T, 3), the list that was drawn. Returns (H, W, C) or (H, W) float32, 0 in the open.
    """
    seen = raster.covered
    values = np.asarray(attributes, np.float32)
    out = np.zeros(seen.shape + values.shape[1:], np.float32)
    corners = values[triangles[raster.triangle_ids[seen]]]
    out[seen] = np.einsum("nk...,nk->n...", corners, raster.barycentrics[seen])
    return out


def vertex_normals(vertices: FloatArray, triangles: Int32Array) -> Float32Array:
    """Unit normals at the vertices: area-weighted means of the faces around, out of the counter-clockwise side.

    vertices: (V, 3); triangles: (T, 3). Returns (V, 3) float32; 0 at vertices of no triangle.
    """
    corners = np.asarray(vertices, np.float64)[triangles]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    count = len(vertices)
    flat = triangles.reshape(-1)
    normals = np.stack(
        [np.bincount(flat, np.repeat(face_normals[:, axis], 3), count) for axis in range(3)], 1
    )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return (normals / np.where(length > 0, length, 1)).astype(np.float32)
