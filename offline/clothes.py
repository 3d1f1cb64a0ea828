"""Clothes, and skin beyond the rig's outline: a sheet of Gaussians at the photo's pixels, with the rig's shoulders beneath it."""

from __future__ import annotations

import cv2
import numpy as np

from offline.geometry import PhotoGeometry
from offline.images import blur, dilate, erode, fill_from, sample
from offline.layers import COVERAGE, Layer, Region, surface_layer
from offline.sampling import poisson_disk
from offline.shells import grid_mesh
from offline.skin import Appearance
from perse_live.arrays import BoolArray, Float32Array
from perse_live.head.rig import Part
from perse_live.raster import vertex_normals

_NEUTRAL_SHIRT = np.array([0.20, 0.22, 0.26], np.float32)  # where a photo ends above the clothes
_COLLAR = -0.165  # metres, template height below which the unseen body is dressed


def sheet_layer(geometry: PhotoGeometry, look: Appearance, depth: Float32Array, hair: BoolArray, unit: float,
                rng: np.random.Generator) -> Layer:
    """Gaussians for the person's pixels that neither hair nor the rig's skin covers.

    Loose skin near the rig is tied to it, so that it follows the jaw; the rest moves with neck and shoulders.
    """
    rig_skin = geometry.part_map(Part.SKIN, Part.EYE_LEFT, Part.EYE_RIGHT) & (look.skin > 0.5)
    covered = erode(rig_skin, 2.0 * unit)
    person = (look.alpha > 0.06) & look.valid
    mask = person & ~erode(hair, 2 * unit) & ~covered
    mesh = grid_mesh(geometry, depth, mask, largest_step=0.03)
    vertices, triangles, pixels = mesh
    if not len(triangles):
        return surface_layer(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros((0, 3)), Region.CLOTHES)
    detail = blur(np.abs(look.image - blur(look.image, 2.5)).mean(2), 4)
    busy = np.clip(sample(detail, pixels[triangles].mean(1)) / 0.03, 0, 1)
    near_face = sample(blur(dilate(rig_skin, 6 * unit), 3 * unit), pixels[triangles].mean(1))
    pixel = 1 / geometry.pixels_per_metre
    spacing = (4.6 - 1.7 * busy) * (1 - near_face) + 2.2 * near_face
    points = poisson_disk(vertices, triangles, spacing * pixel, rng=rng)
    means = points.interpolate(vertices, triangles)
    normals = points.interpolate(vertex_normals(vertices, triangles), triangles)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    at = points.interpolate(pixels, triangles)
    alpha = sample(look.alpha, at)
    layer = surface_layer(means, normals, points.spacing * COVERAGE, sample(look.image, at), Region.CLOTHES,
                          opacity=np.clip(alpha * 0.95, 0.05, 0.95), least_opacity=np.where(alpha > 0.97, 0.6, 0.02))
    x, y = at[:, 0].astype(int), at[:, 1].astype(int)
    is_skin = look.skin[y, x] > 0.5
    layer.regions[:] = np.where(is_skin, int(Region.SKIN), int(Region.CLOTHES))
    layer.triangles[:] = np.where(is_skin, _nearest_skin_triangle(geometry, x, y, 14 * unit), -1)
    return layer


def _nearest_skin_triangle(geometry: PhotoGeometry, x: np.ndarray, y: np.ndarray, reach: float) -> np.ndarray:
    """Rows of the rig's triangles seen nearest to the pixels, -1 beyond `reach` pixels."""
    skin = geometry.part_map(Part.SKIN)
    distance, labels = cv2.distanceTransformWithLabels((~skin).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    lookup = np.full(int(labels.max()) + 1, -1, np.int64)
    ys, xs = np.nonzero(skin)
    lookup[labels[ys, xs]] = geometry.triangle_rows[geometry.seen.triangle_ids[ys, xs]]
    return np.where(distance[y, x] < reach, lookup[labels[y, x]], -1)


def body_layer(geometry: PhotoGeometry, look: Appearance, depth: Float32Array, clothes: Float32Array, hair: BoolArray,
               rng: np.random.Generator) -> Layer:
    """The rig's neck and shoulders under the sheet: closes what a turned head uncovers, and dresses what the photo does not show."""
    rig = geometry.rig
    pixel = 1 / geometry.pixels_per_metre
    spacing = np.where(rig.parts == Part.BODY, 5.0 * pixel, 0.0)
    points = poisson_disk(geometry.vertices, rig.triangles, spacing, rng=rng)
    normals = points.interpolate(geometry.normals, rig.triangles)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    rest = points.interpolate(geometry.template, rig.triangles)
    dressed = rest[:, 1] < _COLLAR + 0.02 * np.cos(rest[:, 0] * 40)
    surface = points.interpolate(geometry.vertices, rig.triangles)
    means = surface - normals * np.where(dressed, 0.002, 0.004)[:, None]
    limit = np.array([geometry.camera.width, geometry.camera.height], np.float32)
    pixels = geometry.camera.project(means)
    framed = ((pixels > 1) & (pixels < limit - 1)).all(1)
    pixels = np.clip(pixels, 1, limit - 1.01)
    valid = framed & (sample(look.valid.astype(np.float32), pixels) > 0.99)
    alpha = sample(look.alpha, pixels)
    facing = -(normals * means).sum(1) > 0
    cloth_seen = (clothes > 0.6) & (look.alpha > 0.95) & look.valid
    skin_seen = (look.skin > 0.6) & (look.alpha > 0.95) & look.valid
    shirt = np.median(look.image[cloth_seen], 0) if cloth_seen.sum() > 400 else _NEUTRAL_SHIRT
    skin = np.median(look.image[skin_seen], 0)
    cloth_map = fill_from(np.where(cloth_seen[..., None], look.image, 0), cloth_seen.astype(np.float32)) if cloth_seen.sum() > 400 \
        else np.broadcast_to(shirt, look.image.shape)
    skin_map = fill_from(np.where(skin_seen[..., None], look.image, 0), skin_seen.astype(np.float32))
    colors = np.where(dressed[:, None], 0.5 * sample(cloth_map, pixels) + 0.5 * shirt, 0.85 * (0.7 * sample(skin_map, pixels) + 0.3 * skin))
    # folds of a plain shirt: darker where the surface turns away
    colors = colors * np.where(dressed, 0.8 + 0.25 * np.clip(-normals[:, 2], 0, 1), 1)[:, None]
    x, y = pixels[:, 0].astype(int), pixels[:, 1].astype(int)
    behind = means[:, 2] > depth[y, x] + 0.003
    keep = np.where(valid, (alpha > 0.9) & (behind | ~facing), True)
    layer = surface_layer(means, normals, points.spacing * COVERAGE * 1.1, colors, Region.BODY, triangles=points.triangle, freedom=0.0,
                          color_freedom=0.0, least_opacity=0.9)
    return layer.select(keep)
