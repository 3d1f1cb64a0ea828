"""How well the photo shows a point of the skin."""

from __future__ import annotations

from offline.images import blur, dilate, sample
from offline.numeric import ramp
from offline.segment.appearance import Appearance
from offline.texture.skin_points import SkinPoints
from perse_live.arrays import BoolArray, FloatArray


def photo_confidence(points: SkinPoints, look: Appearance) -> FloatArray:
    """Visibility times purity, (N,) in [0, 1].

    Visible is what faces the camera, lies within the photo and inside the person's matte; pure are pixels that show skin alone,
    neither hair, clothes or background beside it, nor eyes and mouth. Colours are not looked at: what contradicts its neighbours
    is found when all are completed together.
    """
    pixels = points.pixels
    visible = points.front * ramp(points.facing, 0.2, 0.5) * (sample(look.valid, pixels) > 0.99)
    inside = ramp(sample(look.alpha, pixels), 0.8, 0.98) * (
        sample(blur(look.openings, 0.7), pixels) < 0.25
    )
    return visible * inside * sample(look.skin * look.purity, pixels)


def uncovered(dressed: BoolArray, pixels: FloatArray) -> FloatArray:
    """1 at pixels (N, 2) off the clothes (H, W), 0 on them."""
    return 1 - sample(blur(dilate(dressed, 1.0), 1.0), pixels)
