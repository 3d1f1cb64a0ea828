"""Small formulas that several steps of the build share."""

from __future__ import annotations

import numpy as np
from scipy.stats import median_abs_deviation, norm

from perse_live.arrays import FloatArray

_TINY = 1e-9  # in place of a divisor of 0, of lengths in metres and of weights


def ramp(value: FloatArray, low: float, high: float) -> FloatArray:
    """0 below `low`, 1 above `high`, smooth between (Hermite's cubic)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def ratio(value: FloatArray, by: FloatArray) -> FloatArray:
    """Value / by, for by >= 0; where that is 0, next to nothing stands for it."""
    return value / np.maximum(by, _TINY)


def normalized(vectors: FloatArray) -> FloatArray:
    """Vectors (..., C) brought to length 1; zero stays zero."""
    return ratio(vectors, np.linalg.norm(vectors, axis=-1, keepdims=True))


def facing_of(means: FloatArray, normals: FloatArray) -> FloatArray:
    """Cosine between the normals and the way to the camera, (N,): 1 faces it, 0 is seen edge-on.

    means, normals: (N, 3) camera frame; normals of unit length.
    """
    return -(normals * means).sum(1) / np.linalg.norm(means, axis=1)


def robust_deviation(values: FloatArray) -> float:
    """Standard deviation of the bulk of values (N,), by their median absolute deviation, whatever the outliers are."""
    return float(median_abs_deviation(values, scale=float(norm.ppf(0.75))))
