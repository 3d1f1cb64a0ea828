"""Small formulas that several steps of the build share."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import FloatArray


def ramp(value: FloatArray, low: float, high: float) -> FloatArray:
    """0 below `low`, 1 above `high`, smooth between (Hermite's cubic)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def normalized(vectors: FloatArray) -> FloatArray:
    """Vectors (N, 3) brought to length 1; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def facing_of(means: FloatArray, normals: FloatArray) -> FloatArray:
    """Cosine between the normals and the way to the camera, (N,): 1 faces it, 0 is seen edge-on.

    means, normals: (N, 3) camera frame; normals of unit length.
    """
    return -(normals * means).sum(1) / np.linalg.norm(means, axis=1)
