"""A set of 3D Gaussians as plain arrays, in gsplat's conventions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perse_live.arrays import Float32Array


@dataclass(frozen=True)
class Gaussians:
    """G anisotropic Gaussians.

    The covariance of each is R diag(scales)^2 R^T, where R is the rotation matrix of `quats` (Kerbl et al. 2023, section 4).
    """

    means: Float32Array
    """(G, 3) metres."""
    quats: Float32Array
    """(G, 4) wxyz; need not be unit length, as in gsplat."""
    scales: Float32Array
    """(G, 3) standard deviations along the rotated axes, metres, > 0."""
    opacities: Float32Array
    """(G,) in [0, 1]."""
    colors: Float32Array
    """(G, 3) sRGB values in [0, 1]."""

    def __len__(self) -> int:
        return len(self.means)


def concatenate(*parts: Gaussians) -> Gaussians:
    """Join sets of Gaussians in the order given."""
    return Gaussians(
        *(
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("means", "quats", "scales", "opacities", "colors")
        )
    )
