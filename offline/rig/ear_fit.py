"""Fitting the rig's ears to the person's: how far they stand off the head, how tall they are, and how high they sit.

Landmarks say nothing of ears. Their silhouette does, where bare skin is seen beyond the head at their height: of a grid of few
shapes that one is taken whose convex hull covers most of that skin and least of what is not skin.
"""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np

from offline.priors import ON_EAR
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.head.rig import Part
from perse_live.raster import rasterise

# Factors on the distance that the ear stands off its root, and on its height; metres that it moves up. Adults' ears stand off by
# 10 to 30 mm and are 50 to 75 mm tall (Farkas, Anthropometry of the Head and Face, 1994); the rig's are 12 and 58.
_OFF = (1.0, 0.8, 0.6, 0.4, 0.2, 1.3, 1.6, 2.0, 2.5)
_TALL = (1.0, 0.85, 1.15, 1.3)
_UP = (0.0, -0.006, 0.006)
_ROOT = 0.068  # metres from the symmetry plane, mean head: where ears begin
_MOVES = 0.05  # of the ears' chart: what moves with the ear
# Of a pixel that the ear covers: what it is worth where it is background, and where it is hair; bare skin is worth 1
_ON_BACKGROUND, _ON_HAIR = (-1.5, -0.5)
_UNUSUAL = 0.15  # of the ear's area: what a shape twice the rig's must gain to be believed


def ear_offsets(
    geometry: PhotoGeometry,
    person: BoolArray,  # (H, W) the matte's inside
    hair: Float32Array,  # (H, W) probability
    dressed: BoolArray,  # (H, W) clothes
    ears: Float32Array,  # (V,) in [0, 1]
) -> Float32Array:
    """Offsets that bring each ear's silhouette onto the person's; under hair it lies flat.

    Returns (V, 3) metres, camera frame.
    """
    offsets = np.zeros_like(geometry.vertices)
    triangles = geometry.rig.triangles[geometry.rig.parts == Part.SKIN]
    bald = triangles[(ears[triangles] < _MOVES).all(1)]
    beyond = ~rasterise(geometry.vertices, bald, geometry.camera).covered
    hairy = hair > 0.5
    worth = np.where(~person, _ON_BACKGROUND, np.where(hairy, _ON_HAIR, np.where(dressed, 0, 1)))
    worth = np.where(beyond, worth, 0).astype(np.float32)
    head = geometry.to_head(geometry.vertices)
    for side in (-1.0, 1.0):
        ear = np.nonzero((ears > _MOVES) & (geometry.template[:, 0] * side > 0))[0]
        core = ears[ear] > ON_EAR
        if not core.any():
            continue
        width = np.median(np.abs(head[ear[core], 0] / geometry.template[ear[core], 0]))
        best, chosen = -np.inf, head[ear]
        area = _area(geometry, head[ear[core]])
        for off, tall, up in product(_OFF, _TALL, _UP):
            moved = _shaped(head[ear], ears[ear], side * _ROOT * float(width), off, tall, up)
            unusual = abs(np.log2(off)) * (off > 1) + abs(np.log2(tall)) + abs(up) / 0.01
            score = _covered(geometry, moved[core], worth) - _UNUSUAL * area * unusual
            if score > best:
                best, chosen = score, moved
        offsets[ear] = (chosen - head[ear]) @ geometry.R_cam_head.T
    return offsets


def _shaped(
    places: FloatArray,  # (N, 3) metres, head frame
    weight: Float32Array,  # (N,) in [0, 1]
    root: float,
    off: float,
    tall: float,
    up: float,
) -> FloatArray:
    """An ear (N, 3) of another shape; its root (signed metres from the symmetry plane) stays."""
    side = np.sign(root)
    out = np.clip(places[:, 0] * side - abs(root), 0, None)
    middle = np.average(places[:, 1], weights=weight)
    change = np.zeros_like(places)
    change[:, 0] = side * (off - 1) * out
    change[:, 1] = (tall - 1) * (places[:, 1] - middle) + up
    return places + weight[:, None] * change


def _hull(geometry: PhotoGeometry, places: FloatArray) -> FloatArray:
    """(K, 2) pixels: the convex hull of places (N, 3), head frame, in the photo."""
    pixels = geometry.camera.project(places @ geometry.R_cam_head.T + geometry.t_cam_head)
    return np.asarray(cv2.convexHull(pixels.astype(np.float32)), np.float64)[:, 0]


def _area(geometry: PhotoGeometry, places: FloatArray) -> float:
    return float(cv2.contourArea(_hull(geometry, places).astype(np.float32)))


def _covered(geometry: PhotoGeometry, places: FloatArray, worth: Float32Array) -> float:
    """Sum of `worth` (H, W) over the silhouette of places (N, 3), head frame."""
    hull = np.round(_hull(geometry, places)).astype(np.int32)
    low, high = np.maximum(hull.min(0), 0), np.minimum(hull.max(0) + 1, worth.shape[::-1])
    if (high <= low).any():
        return 0.0
    silhouette = np.zeros((high - low)[::-1], np.uint8)
    cv2.fillConvexPoly(silhouette, hull - low, 1)
    return float((worth[low[1] : high[1], low[0] : high[0]] * silhouette).sum())
