from __future__ import annotations

import numpy as np

from perse_live.arrays import FloatArray
from perse_live.gaussians import Gaussians
from perse_live.rotations import to_matrix


def cloud(count: int, seed: int, *, reach: float = 0.3) -> Gaussians:
    """Gaussians anywhere within reach, in any direction, of skin's to hair's sizes, from barely seen to opaque."""
    random = np.random.default_rng(seed)
    quats = random.normal(size=(count, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    scales = np.exp(random.uniform(np.log(1e-4), np.log(3e-2), (count, 3)))
    return Gaussians(
        *(
            np.asarray(part, np.float32)
            for part in (
                random.uniform(-reach, reach, (count, 3)),
                quats,
                scales,
                random.uniform(1 / 255, 1, count),
                random.random((count, 3)),
            )
        )
    )


def half_turned(means: FloatArray) -> FloatArray:
    """Points with y down, z to the back; or back again."""
    return means * np.array([1, -1, -1])


def covariances(quats: FloatArray, scales: FloatArray) -> FloatArray:
    """(G, 3, 3) of quaternions wxyz and standard deviations."""
    axes = to_matrix(quats.astype(np.float64)) * scales[:, None, :].astype(np.float64)
    return axes @ axes.swapaxes(1, 2)


def covariance_error(found: FloatArray, expected: FloatArray) -> float:
    """Largest deviation of any covariance, as a share of its own size."""
    size = np.linalg.norm(expected, axis=(1, 2))
    return float((np.linalg.norm(found - expected, axis=(1, 2)) / size).max())


Y_DOWN = np.diag([1.0, -1.0, -1.0])
