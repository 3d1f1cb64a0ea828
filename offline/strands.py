"""How hair lies on a head that no photo shows from there: strands run from the whorl down, in locks of light and dark."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from offline.images import blur, sample
from offline.numeric import unit
from perse_live.arrays import BoolArray, Float32Array, FloatArray

_MIDDLE = np.array([0.0, 0.01, -0.088])  # metres, head frame: about what strands go round
_WHORL = np.array([0.0, 0.94, -0.34])  # unit, head frame: the way from there to the whorl, at the back of the crown
_BELOW = 0.03  # metres under the middle over which strands cease to go round and hang down
_AROUND, _DOWN = 512, 96  # cells of the pattern: round the axis, and along a strand
_STRAND, _LOCK = (1.4, 7.0), (6.0, 16.0)  # cells around and along: how large strands and the locks they form are
_LOCKS = 0.5  # weight of locks against strands
_EXTREME = 1.8  # deviations that a strand's light differs at most
_LEAST, _MOST = 0.05, 0.2  # contrast of strands, as a share of the hair's brightness


def lying(places: FloatArray) -> FloatArray:
    """Which way strands run, (N, 3) unit: away from the whorl, lower down straight down. places: (N, 3) metres, head frame."""
    out = unit(places - _MIDDLE)
    away = unit((out @ _WHORL)[:, None] * out - _WHORL)
    hanging = np.clip((_MIDDLE[1] - places[:, 1]) / _BELOW, 0, 1)[:, None]
    return unit((1 - hanging) * away + hanging * np.array([0.0, -1.0, 0.0]))


def pattern(places: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Light and dark of strands, (N,): mean 0, deviation about 1, long along them. places: (N, 3) metres, head frame."""
    offset = places - _MIDDLE
    side = np.array([1.0, 0.0, 0.0])
    forth = np.cross(_WHORL, side)
    around = np.arctan2(offset @ side, offset @ forth) / (2 * np.pi) + 0.5
    along = np.arccos(np.clip(unit(offset) @ _WHORL, -1, 1)) / np.pi
    tones = np.zeros((_DOWN, _AROUND))
    for (across, length), weight in ((_STRAND, 1.0), (_LOCK, _LOCKS)):
        noise = gaussian_filter1d(gaussian_filter1d(rng.standard_normal(tones.shape), length, axis=0, mode="nearest"), across,
                                  mode="wrap")
        tones += weight * noise / noise.std()
    pixels = np.stack([around * _AROUND, along * _DOWN], 1)
    return sample(np.clip(tones / tones.std(), -_EXTREME, _EXTREME), np.clip(pixels, 0.5, np.array([_AROUND, _DOWN]) - 0.51))


def contrast(image: Float32Array, hair: BoolArray, sigma: float) -> float:
    """How much strands of the photo's hair differ from their surroundings, as a share of its brightness.

    image: (H, W, 3); hair: (H, W); sigma: pixels over which surroundings are taken.
    """
    light = image.mean(2)
    around = blur(light * hair, sigma) / np.maximum(blur(hair, sigma), 1e-3)
    if not hair.any():
        return _LEAST
    return float(np.clip((light[hair] / np.maximum(around[hair], 0.03)).std(), _LEAST, _MOST))
