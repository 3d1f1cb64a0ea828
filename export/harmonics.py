"""Colours as spherical harmonics of degree 0: what splat files store instead of RGB."""

from __future__ import annotations

import math

import numpy as np

from perse_live.arrays import Float32Array

SH_C0 = 0.5 / math.sqrt(math.pi)
"""The constant harmonic Y_00; a colour is 0.5 + SH_C0 * coefficient (Kerbl et al. 2023, reference code)."""


def sh_from_rgb(colors: Float32Array) -> Float32Array:
    """Coefficients of degree 0. colors: (G, 3) sRGB in [0, 1]. Returns (G, 3)."""
    return ((colors - np.float32(0.5)) / np.float32(SH_C0)).astype(np.float32)
