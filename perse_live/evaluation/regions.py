"""Which pixels are scored, from the landmarks of the real frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from perse_live.arrays import BoolArray, FloatArray
from perse_live.head import landmarks as lm

LIP_CONTOURS = (*lm.INNER_LIPS, *lm.OUTER_LIP_UPPER, *lm.OUTER_LIP_LOWER, *lm.OUTER_LIP_CORNERS)
"""The 40 points along the lips' inner and outer edge."""
EYE_CONTOURS = (*lm.RIGHT_EYE, *lm.LEFT_EYE, *lm.RIGHT_IRIS[1:], *lm.LEFT_IRIS[1:])
"""The lids' edges and the irises' rims."""

_FACE_SCALE, _INNER_SCALE, _MOUTH_SCALE, _EYE_SCALE = 1.04, 0.88, 1.25, 1.5
_SUBPIXEL_BITS = 4  # of the corners given to OpenCV


@dataclass(frozen=True, eq=False)
class FaceRegions:
    """The scored parts of one picture, each (H, W)."""

    face: BoolArray
    """Hull of all landmarks, 4 % larger: no hair, ears or neck."""
    inner: BoolArray
    """The same hull, 12 % smaller: no background."""
    mouth: BoolArray
    """Hull of the lips, a quarter larger."""
    eyes: BoolArray
    """Hulls of both eyes' lids, half as large again: lids and gaze, no brows."""


def face_regions(landmarks: FloatArray, height: int, width: int) -> FaceRegions:
    """The regions of a face. landmarks: (478, 2 or 3) pixels."""
    points = np.asarray(landmarks)[:, :2]
    eyes = [
        scaled_hull(points[list(eye)], _EYE_SCALE, height, width)
        for eye in (lm.RIGHT_EYE, lm.LEFT_EYE)
    ]
    return FaceRegions(
        scaled_hull(points, _FACE_SCALE, height, width),
        scaled_hull(points, _INNER_SCALE, height, width),
        scaled_hull(points[list(LIP_CONTOURS)], _MOUTH_SCALE, height, width),
        eyes[0] | eyes[1],
    )


def scaled_hull(points: FloatArray, scale: float, height: int, width: int) -> BoolArray:
    """(H, W) inside the convex hull of points (N, 2), pixels, enlarged about its centroid."""
    hull = cv2.convexHull(points.astype(np.float32))[:, 0]
    moments = cv2.moments(hull)
    area = moments["m00"]
    center = np.array([moments["m10"], moments["m01"]]) / area if area > 0 else hull.mean(0)
    corners = np.round((center + (hull - center) * scale) * 2**_SUBPIXEL_BITS).astype(np.int32)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, corners, 1, cv2.LINE_8, _SUBPIXEL_BITS)
    return mask > 0
