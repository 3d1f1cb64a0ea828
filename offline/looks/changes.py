"""Attributes that change colours of base Gaussians, move vertices, or add fine Gaussians on the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.gaussian_layer import surface_layer
from offline.numeric import normalized
from offline.sampling import SurfacePoints
from perse_live.animate import bind_surface
from perse_live.arrays import FloatArray
from perse_live.attributes import AddedGaussians, Attribute, nothing_added
from perse_live.avatar import Avatar
from perse_live.head.rig import surface_triangles
from perse_live.raster import vertex_normals
from perse_live.regions import Region

_LEAST_SHARE = 0.004  # smaller shares are set to 0
_LIFT = 0.0004  # metres above the skin, so that spots are in front of it


@dataclass(frozen=True)
class Title:
    """Name, label and slot of an attribute."""

    name: str
    label: str
    slot: str


def recolored(
    avatar: Avatar,
    title: Title,
    colors: FloatArray,  # (G, 3) or (3,) wanted
    share: FloatArray,  # (G,) or (S,) in [0, 1] how far; the rest stays
    *,
    added: AddedGaussians | None = None,
) -> Attribute:
    """An attribute that blends colours of base Gaussians towards others."""
    full = np.zeros(len(avatar))
    full[: len(share)] = share
    ids = np.nonzero(full > _LEAST_SHARE)[0].astype(np.int32)
    goal = np.broadcast_to(colors, (len(avatar), 3))[ids]
    mixed = avatar.colors[ids] + full[ids, None] * (goal - avatar.colors[ids])
    return Attribute(
        title.name,
        title.label,
        title.slot,
        ids,
        np.clip(mixed, 0, 1).astype(np.float32),
        avatar.opacities[ids].copy(),
        np.zeros(0, np.int32),
        np.zeros((0, 3), np.float32),
        nothing_added() if added is None else added,
    )


def only_added(avatar: Avatar, title: Title, added: AddedGaussians) -> Attribute:
    """An attribute that adds Gaussians and changes no base Gaussians."""
    return recolored(avatar, title, np.zeros(3), np.zeros(len(avatar)), added=added)


def spots(
    avatar: Avatar,
    vertices: FloatArray,  # (V, 3) the pose in which sizes and directions are meant
    points: SurfacePoints,
    sigma: FloatArray,  # (N,) or (N, 2) metres
    colors: FloatArray,  # (N, 3)
    opacities: FloatArray,  # (N,)
    appear: FloatArray,  # (N,) in [0, 0.9]
    *,
    along: FloatArray | None = None,  # (N, 3) direction of the longer axis
) -> AddedGaussians:
    """Small flat Gaussians on the skin that move and stretch with it."""
    rig = avatar.rig
    normals = normalized(
        points.interpolate(vertex_normals(vertices, surface_triangles(rig)), rig.triangles)
    )
    means = points.interpolate(vertices, rig.triangles) + _LIFT * normals
    layer = surface_layer(
        means,
        normals,
        sigma,
        colors,
        Region.SKIN,
        along=along,
        opacity=opacities,
        triangles=points.triangle,
    )
    binding = bind_surface(
        layer.gaussians,
        points.triangle,
        vertices,
        rig.triangles,
        two_sided=np.zeros(len(points), np.uint8),
    )
    nothing = nothing_added()
    return AddedGaussians(
        binding,
        binding.positions,
        nothing.rigid,
        nothing.rigid_start,
        layer.gaussians.opacities,
        layer.gaussians.colors,
        layer.regions,
        np.clip(appear, 0, 0.9).astype(np.float32),
        0.7,
    )
