"""Clothes, and skin beyond the rig's outline: a sheet of Gaussians at the photo's pixels, with the rig's shoulders beneath it."""

from __future__ import annotations

import cv2
import numpy as np

from offline.geometry import PhotoGeometry
from offline.images import blur, dilate, distance_to, erode, fill_from, sample
from offline.layers import COVERAGE, Layer, Region, empty_layer, surface_layer
from offline.sampling import poisson_disk
from offline.shells import grid_mesh
from offline.skin import Appearance
from perse_live.arrays import BoolArray, Float32Array
from perse_live.head.rig import Part
from perse_live.raster import vertex_normals

_NEUTRAL_SHIRT = np.array([0.20, 0.22, 0.26], np.float32)  # where a photo ends above the clothes
_COLLAR = -0.152  # metres, template height below which the unseen body is dressed
_BUST = 2500  # pixels of clothes (eye distance 115) from which the photo's own shoulders are the bust


def dressed_pixels(look: Appearance, chin_row: float, unit: float) -> BoolArray:
    """(H, W) clothes, with the mixed pixels beside them: where a jaw ends at a collar, those belong to the farther surface.

    chin_row: pixels; what does not reach below it is no clothing.
    """
    clothes = look.clothes > 0.5
    mixed = dilate(clothes, 2 * unit) & (look.purity < 0.5) & (look.clothes > 0.1)
    skin = (look.skin > 0.8) & (look.alpha > 0.95)
    brightness = look.image.mean(2)
    shadow = dilate(clothes, 6 * unit) & (brightness < 0.55 * float(np.median(brightness[skin]))) if skin.any() else mixed
    low_enough = np.arange(len(clothes))[:, None] > chin_row - 75 * unit
    dressed = (clothes | mixed | shadow) & low_enough
    _, labels = cv2.connectedComponents((dressed & (look.alpha > 0.05)).astype(np.uint8))
    low = np.unique(labels[min(int(chin_row), len(labels) - 1) :])
    return dressed & np.isin(labels, low[low > 0])


def sheet_layer(geometry: PhotoGeometry, look: Appearance, depth: Float32Array, hair: BoolArray, dressed: BoolArray,
                chin_row: float, unit: float, rng: np.random.Generator) -> Layer:
    """Gaussians for the person's pixels that neither hair nor the rig's skin covers.

    Loose skin near the rig is tied to it, so that it follows the jaw; the rest moves with neck and shoulders.
    """
    rig_skin = geometry.part_map(Part.SKIN, Part.EYE_LEFT, Part.EYE_RIGHT) & (look.skin > 0.5)
    covered = erode(rig_skin, 1.0 * unit) & ~dressed
    person = (look.alpha > 0.06) & look.valid
    below_chin = np.arange(len(hair))[:, None] > chin_row
    mask = person & ~np.where(below_chin, erode(hair, 2 * unit), hair) & ~covered
    mesh = grid_mesh(geometry, depth, mask, largest_step=0.05)
    vertices, triangles, pixels = mesh
    if not len(triangles):
        return empty_layer()
    detail = blur(np.abs(look.image - blur(look.image, 2.5)).mean(2), 4)
    slope = vertices[triangles][:, :, 2].max(1) - vertices[triangles][:, :, 2].min(1)
    loose_skin = ~dressed[pixels[triangles[:, 0], 1].astype(int), pixels[triangles[:, 0], 0].astype(int)]
    triangles = np.ascontiguousarray(triangles[~(loose_skin & (slope > 0.006))])  # steps behind ears and jaw would turn to shards
    if not len(triangles):
        return empty_layer()
    busy = np.clip(sample(detail, pixels[triangles].mean(1)) / 0.03, 0, 1)
    near_face = sample(blur(dilate(rig_skin, 6 * unit), 3 * unit), pixels[triangles].mean(1))
    pixel = 1 / geometry.pixels_per_metre
    spacing = (5.0 - 2.0 * busy) * (1 - near_face) + 2.2 * near_face
    points = poisson_disk(vertices, triangles, spacing * pixel, rng=rng)
    means = points.interpolate(vertices, triangles)
    normals = points.interpolate(vertex_normals(vertices, triangles), triangles)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    at = points.interpolate(pixels, triangles)
    alpha = sample(look.alpha, at)
    x, y = at[:, 0].astype(int), at[:, 1].astype(int)
    is_skin = ~dressed[y, x]
    # at the jaw, pixels mix skin and collar: there the skin's own colour instead
    pure_skin = (look.skin > 0.6) & (look.purity > 0.9) & (look.alpha > 0.95)
    skin_color = fill_from(np.where(pure_skin[..., None], look.image, 0), pure_skin.astype(np.float32))
    purity = np.where(is_skin & (alpha > 0.95), sample(look.purity, at), 1)
    colors = purity[:, None] * sample(look.image, at) + (1 - purity[:, None]) * sample(skin_color, at)
    layer = surface_layer(means, normals, points.spacing * COVERAGE, colors, Region.CLOTHES, color_freedom=purity,
                          opacity=np.clip(alpha * 0.95, 0.05, 0.95), least_opacity=np.where(alpha > 0.97, 0.6, 0.02))
    layer.regions[:] = np.where(is_skin, int(Region.SKIN), int(Region.CLOTHES))
    layer.triangles[:] = np.where(is_skin, _nearest_skin_triangle(geometry, x, y, 9 * unit), -1)
    return layer


def _nearest_skin_triangle(geometry: PhotoGeometry, x: np.ndarray, y: np.ndarray, reach: float) -> np.ndarray:
    """Rows of the rig's triangles seen nearest to the pixels, -1 beyond `reach` pixels."""
    skin = geometry.part_map(Part.SKIN)
    distance, labels = cv2.distanceTransformWithLabels((~skin).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    lookup = np.full(int(labels.max()) + 1, -1, np.int64)
    ys, xs = np.nonzero(skin)
    lookup[labels[ys, xs]] = geometry.triangle_rows[geometry.seen.triangle_ids[ys, xs]]
    return np.where(distance[y, x] < reach, lookup[labels[y, x]], -1)


def backing_layer(geometry: PhotoGeometry, look: Appearance, depth: Float32Array, clothes: Float32Array, unit: float,
                  rng: np.random.Generator) -> Layer:
    """The collar behind neck and jaw: what shows beside the neck when the head turns."""
    dressed = (clothes > 0.6) & (look.alpha > 0.9)
    mask = np.zeros_like(dressed)
    for row in np.nonzero(dressed.sum(1) > 8 * unit)[0]:
        columns = np.nonzero(dressed[row])[0]
        mask[row, columns[0] : columns[-1]] = True
    mask &= ~erode(dressed, 4 * unit) & (look.alpha > 0.9)
    empty = empty_layer()
    if dressed.sum() < 400 * unit**2 or mask.sum() < 50:
        return empty
    across = fill_from(np.where(dressed, depth, 0), dressed.astype(np.float32))
    neck_thickness = 0.07
    behind = np.where(geometry.seen.covered, geometry.seen.depth + neck_thickness, 0)
    vertices, triangles, pixels = grid_mesh(geometry, np.maximum(across, behind).astype(np.float32), mask)
    if not len(triangles):
        return empty
    points = poisson_disk(vertices, triangles, np.full(len(triangles), 5.5 / geometry.pixels_per_metre), rng=rng)
    normals = points.interpolate(vertex_normals(vertices, triangles), triangles)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    colors = 0.75 * sample(fill_from(np.where(dressed[..., None], look.image, 0), dressed.astype(np.float32)),
                           points.interpolate(pixels, triangles))
    return surface_layer(points.interpolate(vertices, triangles), normals, points.spacing * COVERAGE * 1.1, colors, Region.CLOTHES,
                         freedom=0.0, color_freedom=0.0, least_opacity=0.9)


def body_layer(geometry: PhotoGeometry, look: Appearance, depth: Float32Array, clothes: Float32Array,
               unit: float, rng: np.random.Generator) -> Layer:
    """The rig's neck and shoulders under the sheet: closes what a turned head uncovers, and dresses what the photo does not show."""
    rig = geometry.rig
    pixel = 1 / geometry.pixels_per_metre
    middle = geometry.template[rig.triangles].mean(1)
    spacing = np.where((rig.parts == Part.BODY) & (middle[:, 2] > -0.15), 6.5 * pixel, 0.0)
    points = poisson_disk(geometry.vertices, rig.triangles, spacing, rng=rng)
    normals = points.interpolate(geometry.normals, rig.triangles)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    rest = points.interpolate(geometry.template, rig.triangles)
    from_neck = np.hypot(rest[:, 0], 0.9 * (rest[:, 2] + 0.06))
    dressed = (from_neck > 0.070) | (rest[:, 1] < _COLLAR)
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
    own_bust = cloth_seen.sum() > _BUST * unit**2
    fading = sample(distance_to(~look.valid), pixels) < 18 * unit
    keep = np.where(valid, ((alpha > 0.9) | (fading & (not own_bust) & (alpha > 0.02))) & (behind | ~facing), not own_bust)
    layer = surface_layer(means, normals, points.spacing * COVERAGE * 1.3, colors, Region.BODY, triangles=points.triangle, freedom=0.0,
                          color_freedom=0.0, least_opacity=0.9)
    return layer.select(keep)
