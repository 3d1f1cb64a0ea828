"""The portrait freed of what an open mouth draws on its lips' edges: teeth, shadow and dark corners.

They would be smeared along closed lips.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offline.images import blur, dilate, distance_to, fill_from, pixel_centers, polygon
from offline.numeric import ramp
from offline.priors import DARKEST, ENOUGH
from offline.segment.appearance import Appearance
from offline.segment.landmark_masks import mouth_opening
from perse_live.arrays import Float32Array, FloatArray
from perse_live.head.landmarks import INNER_LIP_CORNERS, LOWER_LIP_RING, UPPER_LIP_RING

_EDGE = 4.5  # pixels (eye distance 115) from the mouth's opening within which lips may carry what is not theirs
# Pixels (eye distance 115) from an open mouth's corner within which little is believed, and all is; and how little
_CORNER, _CORNER_HELD = (4.5, 8.0), 0.6
PARTED = 3.0
"""Pixels (eye distance 115) between the lips from which the mouth is open."""


def lip_gap(landmarks: FloatArray) -> float:
    """Pixels between the lips in the middle. landmarks: (478, 2+) pixels."""
    return float(np.linalg.norm(landmarks[13, :2] - landmarks[14, :2]))


def clean_lips(look: Appearance, landmarks: FloatArray, unit: float) -> Appearance:
    """The portrait's pixels with the lips' colour at the edge of an open mouth, where pixels show teeth or shadow.

    landmarks: (478, 2+) pixels; unit: pixels, eye distance / 115. What shows between the lips stays.
    """
    if lip_gap(landmarks) < PARTED * unit:
        return look
    opening = mouth_opening(landmarks, look.valid.shape)
    from_opening = distance_to(opening)
    held = (1 - ramp(from_opening, 1.5 * unit, _EDGE * unit)).astype(np.float32)
    image = look.image
    for ring in (UPPER_LIP_RING, LOWER_LIP_RING):
        lip = polygon(landmarks[list(ring), :2], opening.shape)
        inner = lip & (distance_to(~lip) > 1.0) & ~opening
        sure = inner & (from_opening > 1.5 * unit)
        usual = np.median(image[sure if sure.sum() >= ENOUGH else inner], 0)
        odd = _oddness(image, usual)
        own = inner & (odd < 0.3)
        if own.sum() < ENOUGH:
            continue
        fill = blur(fill_from(image, own), 1.0)
        place = dilate(lip, 0.7) & (from_opening < _EDGE * unit)
        share = blur(np.maximum(odd, 0.5 * (from_opening < 1.2)) * place, 0.6)
        image = np.where(place[..., None], image + share[..., None] * (fill - image), image)
    for corner in landmarks[list(INNER_LIP_CORNERS), :2]:  # its shadow extends beyond the opening
        away = np.linalg.norm(pixel_centers(opening.shape) - corner, axis=-1)
        beside = 1 - ramp(away, *(edge * unit for edge in _CORNER))
        held = np.maximum(held, _CORNER_HELD * beside).astype(np.float32)
    return replace(
        look,
        image=np.where(opening[..., None], look.image, image).astype(np.float32),
        lip_edges=held,
    )


def _oddness(image: Float32Array, usual: FloatArray) -> Float32Array:
    """How unlike a lip's usual colour (3,) pixels are, (H, W) in [0, 1]: darker, lighter or less red."""
    light = image.mean(2) / max(float(usual.mean()), DARKEST)
    red = (image[..., 0] - image[..., 1:].mean(2)) / np.maximum(image.mean(2), DARKEST)
    own_red = float((usual[0] - usual[1:].mean()) / max(float(usual.mean()), DARKEST))
    dark, bright = 1 - ramp(light, 0.5, 0.75), ramp(light, 1.2, 1.45)
    pale = 1 - ramp(red, 0.4 * own_red, 0.65 * own_red) if own_red > 0.1 else 0.0
    return np.maximum(np.maximum(dark, bright), pale * ramp(light, 0.9, 1.1)).astype(np.float32)
