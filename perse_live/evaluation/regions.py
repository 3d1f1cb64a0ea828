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

# Outlines of the forehead between brows and hairline, and of the cheeks between eyes, nose and mouth.
_FOLDING = (
    (54, 103, 67, 109, 10, 338, 297, 332, 284, 300, 293, 334, 296, 336, 9, 107, 66, 105, 63, 70),
    (117, 118, 101, 36, 205, 187, 123),
    (346, 347, 330, 266, 425, 411, 352),
)
_FOLDING_INSET = 0.05  # of the distance between the outer eye corners: neither brows nor hair

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
    folding: BoolArray
    """Forehead and cheeks, where expressions draw lines."""


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
        folding_skin(points, height, width),
    )


def folding_skin(points: FloatArray, height: int, width: int) -> BoolArray:
    """(H, W) forehead and cheeks. points: (478, 2) pixels."""
    mask = np.zeros((height, width), np.uint8)
    for outline in _FOLDING:
        cv2.fillPoly(mask, [np.round(points[list(outline)]).astype(np.int32)], 1)
    inset = _FOLDING_INSET * float(np.linalg.norm(points[33] - points[263]))
    inside = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(inside) > inset


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
