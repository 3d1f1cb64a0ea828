"""Removal of floaters: splats that the photo's edge or a hole in the matte separates from the person."""

from __future__ import annotations

import cv2
import numpy as np

from offline.gaussian_layer import Layer
from perse_live.arrays import Int32Array
from perse_live.camera import Camera
from perse_live.splatting import CpuRasterizer

_SEEN = 25  # of 255, alpha from which a pixel is covered
_SMALL = 0.02  # of the largest component's area; smaller ones are floaters


def without_floaters(layer: Layer, camera: Camera) -> Layer:
    """The layer without splats whose centre lies in a small connected component of the photo's view."""
    alpha = CpuRasterizer(camera.width, camera.height, threads=1).render_rgba(
        layer.gaussians, camera
    )[..., 3]
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(
        (alpha > _SEEN).astype(np.uint8), connectivity=8
    )
    areas: Int32Array = np.asarray(stats, np.int32)[:, cv2.CC_STAT_AREA]
    if count < 3:  # 0 is the background
        return layer
    small = np.flatnonzero((areas < _SMALL * areas[1:].max()) & (np.arange(count) > 0))
    near = cv2.dilate(
        np.isin(np.asarray(pieces), small).astype(np.uint8), np.ones((3, 3), np.uint8)
    )
    cut_off = np.asarray(np.greater(near, 0), np.bool_)
    pixels = np.floor(camera.project(layer.gaussians.means)).astype(np.int64)
    x, y = np.clip(pixels[:, 0], 0, camera.width - 1), np.clip(pixels[:, 1], 0, camera.height - 1)
    inside = (x == pixels[:, 0]) & (y == pixels[:, 1])
    return layer.select(~(inside & cut_off[y, x]))
