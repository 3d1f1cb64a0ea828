"""The far half of a face that the photo saw from aside: what the photo shows of the near half, mirrored.

Heads are nearly symmetric, and the rig is wholly: each of its vertices has a twin on the other side. What the photo sees only at
a glancing angle would be smeared when the head turns to the front; its twin is seen well. Photos from the front are left alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.geometry import PhotoGeometry, attribute_map
from offline.images import nearest_true, sample
from offline.layers import Layer, frames, join
from offline.numeric import facing_of, ramp
from perse_live.animate import bind_surface
from perse_live.arrays import BoolArray, FloatArray, Int32Array
from perse_live.gaussians import Gaussians
from perse_live.head.landmarks import LEFT_EYE, RIGHT_EYE
from perse_live.head.rig import Part
from perse_live.rotations import to_quat

_TURNED = 20.0  # degrees of yaw from which a photo is taken from aside; below, light that differs from side to side shows more
_WELL, _GRAZING = 0.60, 0.35  # cosine to the camera above which a point keeps its own colour, and below which it may lose it
_BETTER = (0.25, 0.50)  # how much more a twin must face the camera to lend its colour, and to lend all of it
_OUTLINE = (5.0, 12.0)  # pixels (eye distance 115) within the outline where colours are mixed, and where they are surely not
_AHEAD = 12.0  # pixels (eye distance 115) before the face's outline that are judged with it
_NARROW = 0.6  # of the near eye's width in the picture, below which the far eye is the near one's mirror image


def vertex_twins(template: FloatArray) -> Int32Array:
    """The vertex on the other side for each of the mean head's (V, 3); those of the middle are their own. Returns (V,)."""
    return np.asarray(KDTree(template).query(template * np.array([-1, 1, 1]))[1], np.int32)


def mirrored_view(geometry: PhotoGeometry) -> PhotoGeometry | None:
    """The view in which each point of the rig lies where its twin is in the photo; None for a photo from the front."""
    if abs(geometry.yaw) < _TURNED:
        return None
    twins = vertex_twins(geometry.template)
    return replace(geometry, vertices=geometry.vertices[twins], normals=geometry.normals[twins],
                   triangles=np.ascontiguousarray(twins[geometry.triangles]))


def lent_share(facing: FloatArray, inside: FloatArray, twin_facing: FloatArray, twin_confidence: FloatArray) -> FloatArray:
    """How far points (N,) take their twins' colours.

    facing, twin_facing: (N,) cosines to the camera; inside: (N,) how far within the person's outline each is seen, pixels (eye
    distance 115); twin_confidence: (N,).
    """
    grazing = 1 - ramp(facing, _GRAZING, _WELL) * ramp(inside, *_OUTLINE)
    return grazing * ramp(twin_facing - facing, *_BETTER) * twin_confidence


def bare_by_twin(geometry: PhotoGeometry, hair: BoolArray, unit: float) -> BoolArray:
    """(H, W) pixels of the far half, and before it, whose twins in the near half are seen to be bare of `hair` (H, W).

    At a glancing angle brows, lashes and locks on the forehead run together, and would hang before the eye as hair. unit: pixels,
    eye distance / 115.
    """
    none = np.zeros_like(hair)
    if abs(geometry.yaw) < _TURNED:
        return none
    twins = vertex_twins(geometry.template)
    there, facing = geometry.vertices[twins], facing_of(geometry.vertices, geometry.normals)
    shown = geometry.part_map(Part.SKIN, Part.EYE_LEFT, Part.EYE_RIGHT)
    place = np.nan_to_num(attribute_map(geometry, there)[shown])
    pixels = geometry.camera.project(np.where(place[:, 2:] > 0, place, [0, 0, 1]))
    angles = np.nan_to_num(attribute_map(geometry, np.stack([facing, facing[twins]], 1).astype(np.float32))[shown])
    seen = place[:, 2] < sample(np.where(shown, geometry.seen.depth, 0), pixels) + 0.006
    bare = none.copy()
    bare[shown] = seen & (angles[:, 1] > angles[:, 0] + _BETTER[0]) & (sample(hair, pixels) < 0.3)
    distance, rows, columns = nearest_true(shown)
    return bare[rows, columns] & (distance < _AHEAD * unit)


def with_twin_eye(eyes: Layer, geometry: PhotoGeometry, landmarks: FloatArray) -> Layer:
    """The eyes, of which one that is turned far away is the other's mirror image.

    landmarks: (478, 2+) pixels. The iris sits on an eyeball that is turned by the gaze, so that both go on looking the same way.
    """
    widths = [float(np.ptp(landmarks[list(eye), 0])) for eye in (LEFT_EYE, RIGHT_EYE)]
    if min(widths) > _NARROW * max(widths):
        return eyes
    left = geometry.triangle_template()[eyes.triangles, 0] > 0
    near = left if widths[0] > widths[1] else ~left
    return join(eyes.select(near), mirrored_layer(eyes.select(near), geometry))


def mirrored_layer(layer: Layer, geometry: PhotoGeometry) -> Layer:
    """Gaussians that are bound to the rig, on the twins of their triangles; refinement leaves them alone."""
    g, rig = layer.gaussians, geometry.rig
    bound = bind_surface(g, layer.triangles, geometry.vertices, rig.triangles, two_sided=np.zeros(len(layer), np.uint8))
    twins = vertex_twins(geometry.template)
    corners = geometry.vertices[twins[rig.triangles[layer.triangles]]].astype(np.float64)
    origin, first, second = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normals = np.cross(second, first)  # a twin's corners run the other way round
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)

    def out_of_edges(shares: FloatArray) -> FloatArray:
        return shares[:, :1] * first + shares[:, 1:] * second

    means = origin + out_of_edges(bound.positions[:, :2]) + bound.positions[:, 2:] * normals
    long, wide = out_of_edges(bound.axes[:, :2]), out_of_edges(bound.axes[:, 2:])
    turned = frames(normals, long)
    scales = np.stack([np.linalg.norm(long, axis=1), np.abs((turned[:, :, 1] * wide).sum(1)), g.scales[:, 2]], 1)
    moved = Gaussians(means.astype(np.float32), to_quat(turned).astype(np.float32), np.maximum(scales, 2e-5).astype(np.float32),
                      g.opacities, g.colors)
    frozen = np.zeros(len(layer), np.float32)
    return replace(layer, gaussians=moved, triangles=_triangle_twins(geometry, twins)[layer.triangles], freedom=frozen,
                   color_freedom=frozen)


def _triangle_twins(geometry: PhotoGeometry, twins: Int32Array) -> Int32Array:
    """The row of each triangle's twin, (T,); its own where there is none (a few in the middle of the tongue)."""
    triangles = geometry.rig.triangles
    rows = {tuple(sorted(corners)): row for row, corners in enumerate(triangles.tolist())}
    return np.array([rows.get(tuple(sorted(corners)), row) for row, corners in enumerate(twins[triangles].tolist())], np.int32)
