"""Confidence of the photo's colour at points of the skin."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from offline.images import blur, dilate, sample
from offline.numeric import ramp
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment.appearance import Appearance
from offline.texture.skin_points import SkinPoints
from perse_live.arrays import BoolArray, FloatArray
from perse_live.head.landmarks import FACE_OVAL, load_landmark_model, mesh_landmarks

# Pixels (eye distance 115) between landmarks and the rig, up to which the rig lies on the photo, and from which it does
# not: up to 1.6 at the lips of eight portraits turned by up to 17 degrees, 10 at the far lips of one turned by 42. And how
# many landmarks tell.
_OFF, _AROUND = (2.5, 6.0), 4


def photo_confidence(points: SkinPoints, look: Appearance) -> FloatArray:
    """Visibility times purity, (N,) in [0, 1].

    Visible is what faces the camera, lies within the photo and inside the person's matte; pure are pixels that show skin alone,
    without hair, clothes, background, eyes or mouth. Colours are not used: outliers are found in the completion of all points.
    """
    pixels = points.pixels
    visible = points.front * ramp(points.facing, 0.2, 0.5) * (sample(look.valid, pixels) > 0.99)
    inside = ramp(sample(look.alpha, pixels), 0.8, 0.98) * (
        sample(blur(look.openings, 0.7), pixels) < 0.25
    )
    return visible * inside * sample(look.skin * look.purity, pixels)


def registration(
    geometry: PhotoGeometry, landmarks: FloatArray, rest: FloatArray, unit: float
) -> FloatArray:
    """How far the rig lies on the face in the photo near each point, (N,) in [0, 1].

    The far half of a turned head has the near half's shape, and its lips may lie ten pixels off the photo's: the dark of
    a mouth's corner would be painted on the middle of a lip.

    landmarks: (478, 2+) pixels; rest: (N, 3) on the mean head; unit: pixels, eye distance / 115.
    """
    model, inner = load_landmark_model(), np.setdiff1d(np.arange(478), FACE_OVAL)
    drawn = geometry.camera.project(mesh_landmarks(model, geometry.vertices)[inner])
    off = np.linalg.norm(drawn - landmarks[inner, :2], axis=1) / unit
    near = KDTree(mesh_landmarks(model, geometry.template)[inner]).query(rest, k=_AROUND)[1]
    return 1 - ramp(off[np.asarray(near)].mean(1), *_OFF)


def uncovered(dressed: BoolArray, pixels: FloatArray) -> FloatArray:
    """1 at pixels (N, 2) off the clothes (H, W), 0 on them."""
    return 1 - sample(blur(dilate(dressed, 1.0), 1.0), pixels)
