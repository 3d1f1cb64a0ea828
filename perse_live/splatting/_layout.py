"""Constants shared by the splatting kernels: gsplat's constants, and how pictures and Gaussians lie in memory.

A picture is cut into tiles of 32 x 32 pixels, a tile into 8 strips of 8 blocks, a block is 4 x 4 pixels: one vector of 16 lanes,
row by row. Square blocks fit the round footprints of splats better than rows of 16 do: 14 vectors per Gaussian instead of 21.
A projected Gaussian is a record of 16 floats, one cache line.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
UInt64Array = NDArray[np.uint64]

NEAR_PLANE = 0.01
"""Metres; Gaussians whose mean is nearer are left out."""
EPS2D = 0.3
"""Square pixels added to the diagonal of the projected covariance."""
ALPHA_MIN = 1 / 255
"""Smaller contributions are skipped."""
ALPHA_MAX = 0.999
"""Larger alphas are clamped."""
TRANSMITTANCE_MIN = 1e-4
"""A pixel is finished when the next Gaussian would bring its transmittance to this or below."""
FOV_MARGIN = 0.3
"""The Jacobian is taken at x/z clamped to the picture plus this share of its half width, so that it stays bounded."""

NORM_MIN = 1e-24
"""Squared length under which a quaternion counts as zero: it turns nothing then."""

LN2 = math.log(2)
SIGN_BIT = -(1 << 31)
LOG2_ALPHA_MIN = math.log2(ALPHA_MIN)
EXPONENT_SCALE = -0.5 * math.log2(math.e)
"""alpha = 2^(log2 opacity + EXPONENT_SCALE d^T S^-1 d) at the distance d from the mean, S being the projected covariance"""

BLOCK = 4
TILE = 32
STRIPS = TILE // BLOCK
BLOCKS = STRIPS * STRIPS
"""Blocks of a tile."""
TILES_MAX = 255
"""Along one side of a picture, so that four tile numbers fit one int32 and -1 means none."""
BATCH = 64
"""Gaussians copied at a time into a small array next to the tile being blended."""
CHUNK = 1024
"""Gaussians that a thread projects at a time; a multiple of 16."""
CLIP_MARGIN = 0.01
"""Pixels added around footprints, so that rounding never clips a pixel whose alpha reaches ALPHA_MIN."""

RECORD = 16
MEAN_X, MEAN_Y = 0, 1
"""Pixels."""
CURVATURE_E, CURVATURE_Y = 2, 3
"""log2 alpha = LOG2_OPACITY + CURVATURE_E e^2 + CURVATURE_Y dy^2 with e = dx - SLOPE dy: a sum of squares, which float32 holds
well for long, thin ellipses too, unlike one with a product dx dy."""
SLOPE = 4
"""The ellipses' middle at height dy lies at dx = SLOPE dy."""
LOG2_OPACITY = 5
RED, GREEN, BLUE = 6, 7, 8
HALF_HEIGHT = 9
"""Of the ellipse where alpha reaches ALPHA_MIN, pixels; that ellipse is also given by the next three."""
HALF_WIDTH = 10
"""Along the row through its centre."""
INVERSE_SQUARED_HEIGHT = 11
"""1 / HALF_HEIGHT^2"""
DY_RIGHTMOST = 12
"""dy of its rightmost point; the leftmost is opposite."""


def exp2_coefficients() -> tuple[float, float, float, float, float]:
    """Polynomial for 2^f on (-1, 0]: least relative error at Chebyshev nodes, 3e-6."""
    nodes = (np.cos(np.pi * (np.arange(200) + 0.5) / 200) - 1) / 2
    c = np.polynomial.polynomial.polyfit(nodes, 2.0**nodes, 4, w=2.0**-nodes)
    return float(c[0]), float(c[1]), float(c[2]), float(c[3]), float(c[4])
