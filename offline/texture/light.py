"""The photo's light, estimated from skin: low-order spherical harmonics of the normal.

Irradiance of a convex Lambertian surface is well described by the nine spherical harmonics up to order 2 (Ramamoorthi and
Hanrahan, An efficient representation for irradiance environment maps, SIGGRAPH 2001). Here they describe the logarithm of the
shading, which stays positive and turns albedo times shading into a sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.priors import DARKEST
from perse_live.arrays import Float64Array, FloatArray

_ROUNDS = 6  # of reweighting; the coefficients change by less than 1 % after the fourth
_OUTLIER = 0.15  # residual of the logarithm at which a point's weight falls to a quarter: brows, lips, cast shadows
# Relative to the total weight: a face shows a quarter of all normals
_RIDGE = np.array([0, 1, 1, 1, 2, 2, 2, 2, 2]) * 0.02
_RANGE = (2.0, 98.0)  # percentiles of the shading seen; beyond them the harmonics would extrapolate


@dataclass(frozen=True, eq=False)
class Light:
    """Shading as a function of the normal."""

    coefficients: Float64Array
    """(9, 3) of the logarithm, per colour channel, without the constant: a mean shading of 1."""
    darkest: Float64Array
    """(3,) the least logarithm of shading used."""
    brightest: Float64Array
    """(3,) the greatest one."""

    def shading(self, normals: FloatArray) -> Float64Array:
        """Factors (N, 3) by which light brightens surfaces with these unit normals (N, 3)."""
        return np.exp(np.clip(_basis(normals) @ self.coefficients, self.darkest, self.brightest))


def estimate_light(colors: FloatArray, weights: FloatArray, normals: FloatArray) -> Light:
    """Fit the light to skin of one albedo by iteratively reweighted least squares.

    colors: (N, 3) sRGB in [0, 1]; weights: (N,) >= 0, not all 0; normals: (N, 3) unit, in any fixed frame. sRGB values are used
    as they are: ratios between them serve to compare two places of one face, not to relight it.
    """
    basis, target = _basis(normals), np.log(np.maximum(colors, DARKEST))
    robust, fitted = weights / weights.sum(), np.zeros((len(_RIDGE), 3))
    for _ in range(_ROUNDS):
        weighted = basis * robust[:, None]
        fitted = np.linalg.solve(
            weighted.T @ basis + np.diag(_RIDGE * robust.sum()), weighted.T @ target
        )
        residual = np.abs(target - basis @ fitted).mean(1)
        robust = weights / weights.sum() / (1 + (residual / _OUTLIER) ** 2) ** 2
    fitted[0] = 0
    grey = fitted.mean(1, keepdims=True)
    # half of the difference between channels is light, the rest the skin's tint
    fitted = 0.5 * (fitted + grey)
    seen = (basis @ fitted)[weights > 0.5 * weights.max()]
    low, high = np.percentile(seen, _RANGE, axis=0)
    return Light(fitted, low, high)


def _basis(normals: FloatArray) -> Float64Array:
    """Real spherical harmonics up to order 2 at unit normals (N, 3), without their constant factors: (N, 9)."""
    x, y, z = np.asarray(normals, np.float64).T
    return np.stack(
        [np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], 1
    )
