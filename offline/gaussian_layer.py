"""Gaussians under construction: sets in the camera frame of the photo, with what the next steps must know about each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offline.numeric import normalized
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array, UInt8Array
from perse_live.gaussians import Gaussians, concatenate
from perse_live.regions import Region
from perse_live.rotations import to_quat

COVERAGE = 0.66
"""Standard deviation over spacing at which opaque splats of a hexagonal packing leave no see-through."""


COLOR_RANGE = (0.002, 0.998)
"""sRGB between which Gaussians' colours are kept, so that logarithms and quantisation hold."""


_OF_EACH = ("triangles", "regions", "freedom", "color_freedom", "least_opacity")


@dataclass(frozen=True)
class Layer:
    """N Gaussians of one kind."""

    gaussians: Gaussians
    """Camera frame, at the photo's pose and expression; the third axis is the surface normal."""
    triangles: Int32Array
    """(N,) row of the rig's triangles that carries each, or -1 for those that move rigidly."""
    regions: UInt8Array
    """(N,) `Region`."""
    freedom: Float32Array
    """(N,) how far refinement may move and reshape each: 0 frozen in place, 1 free."""
    color_freedom: Float32Array
    """(N,) the same for its colour."""
    least_opacity: Float32Array
    """(N,) refinement keeps the opacity above this."""

    def __len__(self) -> int:
        return len(self.triangles)

    def select(self, keep: BoolArray) -> Layer:
        """The Gaussians at which `keep` (N,) is true."""
        g = self.gaussians
        chosen = Gaussians(
            g.means[keep], g.quats[keep], g.scales[keep], g.opacities[keep], g.colors[keep]
        )
        return replace(
            self, gaussians=chosen, **{name: getattr(self, name)[keep] for name in _OF_EACH}
        )


def join(*layers: Layer) -> Layer:
    """One layer of several, in the order given."""
    return Layer(
        concatenate(*(layer.gaussians for layer in layers)),
        *(np.concatenate([getattr(layer, name) for layer in layers]) for name in _OF_EACH),
    )


def surface_layer(
    means: FloatArray,  # (N, 3)
    normals: FloatArray,  # (N, 3) unit
    sigma: FloatArray,  # (N,) or (N, 2) in-plane standard deviations, metres
    colors: FloatArray,  # (N, 3)
    region: Region,
    *,
    along: FloatArray
    | None = None,  # (N, 3) direction of the first axis; projected into the surface
    opacity: FloatArray | float = 0.97,
    thickness: float = 0.3,
    triangles: Int32Array | None = None,
    freedom: FloatArray | float = 1.0,
    color_freedom: FloatArray | float = 1.0,
    least_opacity: FloatArray | float = 0.02,
) -> Layer:
    """Flat Gaussians on a surface; `thickness` is the third standard deviation over the smaller of the other two."""
    count = len(means)
    sigma = np.asarray(sigma, np.float32)
    sigma = np.broadcast_to(sigma[:, None] if sigma.ndim == 1 else sigma, (count, 2))
    scales = np.concatenate([sigma, sigma.min(1, keepdims=True) * thickness], 1)
    quats = to_quat(frames(normals, along)).astype(np.float32)
    gaussians = Gaussians(
        means.astype(np.float32),
        quats,
        scales.astype(np.float32),
        _full(opacity, count),
        np.clip(colors, *COLOR_RANGE).astype(np.float32),
    )
    rows = np.full(count, -1, np.int32) if triangles is None else triangles.astype(np.int32)
    return Layer(
        gaussians,
        rows,
        np.full(count, int(region), np.uint8),
        _full(freedom, count),
        _full(color_freedom, count),
        _full(least_opacity, count),
    )


def empty_layer() -> Layer:
    """A layer without Gaussians."""
    none = np.zeros((0, 3), np.float32)
    return surface_layer(none, none, np.zeros(0, np.float32), none, Region.SKIN)


def frames(normals: FloatArray, along: FloatArray | None = None) -> FloatArray:
    """Right-handed frames whose third axis is the normal.

    normals: (N, 3) unit; along: (N, 3) wanted direction of the first axis (default: horizontal). Returns (N, 3, 3), axes as
    columns.
    """
    along = np.array([[1.0, 0.0, 0.0]]) if along is None else along
    first = along - (along * normals).sum(1, keepdims=True) * normals
    lost = np.linalg.norm(first, axis=1) < 1e-3  # along the normal
    first[lost] = np.cross(normals[lost], np.eye(3)[np.abs(normals[lost]).argmin(1)])
    first = normalized(first)
    return np.stack([first, np.cross(normals, first), normals], 2)


def _full(value: FloatArray | float, count: int) -> Float32Array:
    return np.broadcast_to(np.asarray(value, np.float32), (count,)).copy()
