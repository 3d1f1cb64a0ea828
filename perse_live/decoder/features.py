"""Input features of a Gaussian: its position at rest, colour and region."""

from __future__ import annotations

import hashlib

import numpy as np

from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.decoder.network import FEATURES, Decoder
from perse_live.head.rig import HeadRig
from perse_live.regions import Region

_REACH = 0.1  # metres from between the eyes that count as 1: chin and crown are near
_GROUPS = (
    (Region.SKIN, Region.LIPS),
    (Region.HAIR, Region.HAIR_BACK, Region.SCALP, Region.LASHES),
    (Region.EYE, Region.TEETH, Region.TONGUE, Region.MOUTH),
    (Region.CLOTHES, Region.BODY, Region.ACCESSORY),
)


def features_of(places: Float32Array, colors: Float32Array, regions: UInt8Array) -> Float32Array:
    """The (N, FEATURES) features of Gaussians.

    places: (N, 3) metres at rest, head frame; colors: (N, 3) sRGB; regions: (N,). Places also as sine and cosine of half a turn
    for each reach (positional encoding: Mildenhall et al. 2020, section 5.1), colours in [-1, 1], regions as one of four groups.
    """
    near = places.astype(np.float32) / np.float32(_REACH)
    groups = np.stack([np.isin(regions, group) for group in _GROUPS], 1).astype(np.float32)
    turns = np.float32(np.pi) * near
    out = np.concatenate(
        [near, np.sin(turns), np.cos(turns), 2 * colors - 1, groups], 1, dtype=np.float32
    )
    assert out.shape[1] == FEATURES
    return out


def network_hash(
    decoder: Decoder,
    rig: HeadRig,
    surface: SurfaceBinding,
    rigid: RigidBinding,
    colors: Float32Array,
    regions: UInt8Array,
) -> str:
    """SHA-256 over W0 and the arrays that features are computed from; adapters and codes are only valid for it."""
    digest = hashlib.sha256()
    for array in (
        *vars(decoder).values(),
        rig.vertices,
        rig.triangles,
        surface.triangles,
        surface.positions,
        rigid.means,
        colors,
        regions,
    ):
        digest.update(
            np.ascontiguousarray(array, np.dtype(array.dtype).newbyteorder("<")).tobytes()
        )
    return digest.hexdigest()


def places_at_rest(rig: HeadRig, surface: SurfaceBinding, rigid: RigidBinding) -> Float32Array:
    """Where bound Gaussians are at rest: (S + R, 3) metres, head frame."""
    v0, e1, e2, normal = _frames(rig, surface)
    b1, b2, lift = surface.positions.T[:, :, None]
    return np.concatenate([v0 + b1 * e1 + b2 * e2 + lift * normal, rigid.means]).astype(np.float32)


def into_binding(rig: HeadRig, surface: SurfaceBinding) -> Float32Array:
    """Matrices (S, 3, 3) that turn a displacement at rest (metres, head frame) into one of `positions` (b1, b2, lift)."""
    _, e1, e2, normal = _frames(rig, surface)
    e1, e2, normal = e1.astype(np.float64), e2.astype(np.float64), normal.astype(np.float64)
    g11, g12, g22 = (
        (e1 * e1).sum(1, keepdims=True),
        (e1 * e2).sum(1, keepdims=True),
        (e2 * e2).sum(1, keepdims=True),
    )
    # Of a triangle of 0.1 mm; a smaller one moves less than it should
    determinant = np.maximum(g11 * g22 - g12 * g12, 1e-14)
    return np.stack(
        [(g22 * e1 - g12 * e2) / determinant, (g11 * e2 - g12 * e1) / determinant, normal], 1
    ).astype(np.float32)


def _frames(
    rig: HeadRig, surface: SurfaceBinding
) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
    """First corners, edges and unit normals (S, 3) of the triangles."""
    v0, v1, v2 = (rig.vertices[rig.triangles[surface.triangles, corner]] for corner in range(3))
    normal = np.cross(v1 - v0, v2 - v0)
    return (
        v0,
        v1 - v0,
        v2 - v0,
        normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), np.float32(1e-12)),
    )
