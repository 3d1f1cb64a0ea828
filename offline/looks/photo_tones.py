"""Colours consistent with an avatar's photo: its light, the person's skin, and colour ramps from shadow to highlight."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from offline.looks.face.rest_positions import on_part
from offline.numeric import ramp
from perse_live.arrays import Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.head.rig import Part
from perse_live.regions import Region

LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601."""
_WHITE = np.array([0.78, 0.755, 0.735])  # the white of an eye in a neutral, well exposed photo
_LEAST_LIGHT, _MOST_LIGHT = 0.45, 1.15


def light_of(avatar: Avatar) -> FloatArray:
    """The photo's light (3,), estimated from the whites of the eyes; (1, 1, 1) is neutral. A factor of synthesised colours."""
    eyes = avatar.colors[on_part(avatar, Part.EYE_LEFT, Part.EYE_RIGHT)]
    if len(eyes) < 50:
        return np.ones(3)
    brightness = eyes.mean(1)
    white = np.median(eyes[brightness >= np.percentile(brightness, 70)], 0)
    return np.clip(white / _WHITE, _LEAST_LIGHT, _MOST_LIGHT)


def lit(
    color: tuple[float, float, float] | FloatArray, light: FloatArray, *, share: float = 0.7
) -> FloatArray:
    """A colour (..., 3) under a photo's light (3,); `share` below 1 applies it in part: yellow light would make blue grey."""
    return np.clip(np.asarray(color) * light**share, 0, 1)


@dataclass(frozen=True, eq=False)
class Skin:
    """Colour of the person's skin."""

    color: FloatArray
    """(3,) sRGB, the median of the face."""
    lab: FloatArray
    """(3,) the same in CIE L*a*b*."""


def skin_of(avatar: Avatar) -> Skin:
    """The skin colour of the front of the face."""
    count = len(avatar.surface.triangles)
    middle = avatar.rig.vertices[avatar.rig.triangles[avatar.surface.triangles]].mean(1)
    face = (avatar.regions[:count] == Region.SKIN) & (middle[:, 2] > -0.03) & (middle[:, 1] < 0.0)
    colors = avatar.colors[:count][face] if face.sum() > 50 else avatar.colors
    color = np.median(colors, 0).astype(np.float64)
    return Skin(color, lab_of(color[None])[0])


def lab_of(colors: FloatArray) -> FloatArray:
    """CIE L*a*b* (N, 3) of sRGB colours (N, 3) in [0, 1]."""
    return cv2.cvtColor(np.asarray(colors, np.float32).reshape(1, -1, 3), cv2.COLOR_RGB2LAB)[
        0
    ].astype(np.float64)


def rgb_of(lab: FloatArray) -> FloatArray:
    """Colours (N, 3), sRGB in [0, 1], of CIE L*a*b* (N, 3)."""
    rgb = cv2.cvtColor(np.asarray(lab, np.float32).reshape(1, -1, 3), cv2.COLOR_LAB2RGB)[0]
    return np.clip(rgb, 0, 1).astype(np.float64)


def plausible_hair(colors: FloatArray) -> FloatArray:
    """Colours (N, 3) of hair without outliers from misclassified pixels: an ear's edge, an earring, a green cast."""
    lab = lab_of(colors)
    middle = np.median(lab, 0)
    away = np.linalg.norm(lab[:, 1:] - middle[1:], axis=1)
    usual = float(np.percentile(away, 80))
    odd = ramp(away, 1.3 * usual + 5, 1.8 * usual + 12)
    lab[:, 1:] += odd[:, None] * (middle[1:] - lab[:, 1:])
    bright = float(np.percentile(lab[:, 0], 97))
    lab[:, 0] = np.where(
        odd > 0.5, np.minimum(lab[:, 0], middle[0] + 0.3 * (bright - middle[0])), lab[:, 0]
    )
    return rgb_of(lab)


def skin_likeness(colors: FloatArray, skin: Skin) -> FloatArray:
    """(N,) likelihood in [0, 1] that colours (N, 3) are this skin, lit or shaded; 0 for hair, cloth and lips."""
    lab = lab_of(colors)
    chroma = np.linalg.norm(lab[:, 1:] - skin.lab[1:], axis=1)
    return (1 - ramp(chroma, 11, 24)) * ramp(lab[:, 0] / max(skin.lab[0], 1), 0.38, 0.62)


@dataclass(frozen=True)
class Ramp:
    """A material's colours in the shade, in ordinary light and in highlights; sRGB."""

    shade: tuple[float, float, float]
    middle: tuple[float, float, float]
    light: tuple[float, float, float]


def along_ramp(ramp_: Ramp, relief: FloatArray) -> Float32Array:
    """Colours (N, 3) for a relief (N,): -1 is the shade, 0 the middle, 1 the light."""
    stops = np.array([ramp_.shade, ramp_.middle, ramp_.light])
    place = np.clip(relief, -1, 1)
    return np.stack([np.interp(place, (-1, 0, 1), stops[:, c]) for c in range(3)], 1).astype(
        np.float32
    )
