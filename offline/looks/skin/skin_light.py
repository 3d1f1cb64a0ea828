"""Plain skin under a photo's light, for points of a face that something covers."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import BoolArray, FloatArray
from perse_live.srgb import to_linear, to_srgb


def plain_skin(on_chart: dict[str, FloatArray], template: FloatArray) -> BoolArray:
    """(N,) points of the face where neither brows, beard, lips nor make-up usually are: nose, upper cheeks, forehead.

    on_chart: the charts' values at the points, by name; template: (N, 3) on the mean head.
    """
    x, y, z = template.T
    bare = np.ones(len(template), np.bool_)
    for name in ("brows", "lips", "ears", "scalp", "eyelids"):
        bare &= on_chart[name] < 0.05
    return (
        bare
        & (on_chart["beard"] < 0.1)
        & (y > -0.06)
        & (y < 0.055)
        & (z > -0.03)
        & (np.abs(x) < 0.055)
    )


def skin_under_light(
    normals: FloatArray, colors: FloatArray, plain: BoolArray, wanted: FloatArray
) -> FloatArray:
    """Plain skin (M, 3) at unit normals `wanted` (M, 3), as ambient light and one lamp would show it.

    Least squares of linear light over normals (N, 3) where `plain` (N,); colors: (N, 3) sRGB.
    """
    light = to_linear(colors[plain].astype(np.float64))
    system = np.concatenate([np.ones((int(plain.sum()), 1)), normals[plain]], 1)
    penalty = np.diag([0.0, *[0.08 * len(system)] * 3])
    fitted = np.linalg.solve(system.T @ system + penalty, system.T @ light)
    middle = np.median(light, 0)
    out = np.concatenate([np.ones((len(wanted), 1)), wanted], 1) @ fitted
    return to_srgb(np.clip(out, 0.45 * middle, 1.4 * middle))
