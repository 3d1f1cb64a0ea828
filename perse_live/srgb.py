"""sRGB's transfer function and its inverse (IEC 61966-2-1, 4.2)."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import FloatArray


def to_linear(colors: FloatArray) -> FloatArray:
    """Linear light of sRGB values, of the same shape and precision; both in [0, 1], to which they are clipped."""
    bounded = np.clip(colors, 0, 1)
    return np.where(bounded <= 0.04045, bounded / 12.92, ((bounded + 0.055) / 1.055) ** 2.4)


def to_srgb(light: FloatArray) -> FloatArray:
    """The inverse: sRGB values of linear light, of the same shape and precision; both in [0, 1], to which they are clipped."""
    bounded = np.clip(light, 0, 1)
    return np.where(bounded <= 0.0031308, 12.92 * bounded, 1.055 * bounded ** (1 / 2.4) - 0.055)
