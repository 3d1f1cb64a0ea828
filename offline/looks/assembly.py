"""Attributes from Gaussians in the head frame: binding, order of appearance, and the Gaussians that they hide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.gaussian_layer import COVERAGE, frames
from perse_live.animate import RigidBinding, SurfaceBinding, bind_surface
from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.attributes import AddedGaussians, Attribute, nothing_added
from perse_live.avatar import Avatar
from perse_live.gaussians import Gaussians, concatenate
from perse_live.regions import Region
from perse_live.rotations import to_quat


@dataclass(frozen=True, eq=False)
class Changes:
    """Changes of base Gaussians by an attribute."""

    ids: Int32Array
    """(N,)."""
    colors: Float32Array
    """(N, 3) at full weight."""
    opacities: Float32Array
    """(N,) at full weight."""


def changes(
    avatar: Avatar, *, shown: FloatArray | None = None, brightness: FloatArray | None = None
) -> Changes:
    """Changes that hide or darken Gaussians.

    shown: (G,) factor of the opacity; brightness: (G,) factor of the colour; 1 leaves a Gaussian unchanged.
    """
    count = len(avatar)
    left = np.ones(count) if shown is None else shown
    light = np.ones(count) if brightness is None else brightness
    ids = np.nonzero((left < 0.999) | (light < 0.999))[0].astype(np.int32)
    return Changes(
        ids,
        (avatar.colors[ids] * light[ids, None]).astype(np.float32),
        (avatar.opacities[ids] * left[ids]).astype(np.float32),
    )


def attribute(
    name: str, label: str, slot: str, added: AddedGaussians, change: Changes | None = None
) -> Attribute:
    """An attribute that does not move the rig's vertices."""
    none = np.zeros((0, 3), np.float32)
    change = (
        change
        if change is not None
        else Changes(np.zeros(0, np.int32), none, np.zeros(0, np.float32))
    )
    return Attribute(
        name,
        label,
        slot,
        change.ids,
        change.colors,
        change.opacities,
        np.zeros(0, np.int32),
        none,
        added,
    )


def rigid_added(
    gaussians: Gaussians,
    *,
    start: FloatArray | None = None,
    appear: FloatArray | float = 0.0,
    least_size: float = 1.0,
    region: Region = Region.ACCESSORY,
    solid: bool = False,
) -> AddedGaussians:
    """Gaussians (R) in the head frame, rigid with the skull. start: (R, 3) means at weight 0; None: the final ones."""
    count = len(gaussians)
    empty = nothing_added()
    binding = RigidBinding(
        gaussians.means, gaussians.quats, gaussians.scales, np.ones(count, np.float32)
    )
    begin = gaussians.means.copy() if start is None else start.astype(np.float32)
    return AddedGaussians(
        empty.surface,
        empty.surface_start,
        binding,
        begin,
        gaussians.opacities,
        gaussians.colors,
        np.full(count, int(region), np.uint8),
        _each(appear, count),
        least_size,
        solid,
    )


def piece_by_piece(order: FloatArray) -> FloatArray:
    """Stages [0, 0.9] of the transition at which Gaussians of a solid object appear, by their rank `order` (N,), in any unit."""
    return 0.9 * (order - order.min()) / max(float(np.ptp(order)), 1e-9)


def surface_added(
    avatar: Avatar,
    gaussians: Gaussians,
    triangles: Int32Array,
    start: FloatArray,
    *,
    appear: FloatArray | float,
    least_size: float,
    region: Region,
) -> AddedGaussians:
    """Gaussians (S) in the head frame, at rest, bound to triangles (S,) of the rig; start: (S, 3) means at weight 0, metres."""
    count, rig = len(gaussians), avatar.rig
    both = np.ones(count, np.uint8)
    bound = bind_surface(gaussians, triangles, rig.vertices, rig.triangles, two_sided=both)
    roots = Gaussians(
        start.astype(np.float32),
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        gaussians.colors,
    )
    begin = bind_surface(roots, triangles, rig.vertices, rig.triangles, two_sided=both).positions
    empty = nothing_added()
    return AddedGaussians(
        bound,
        begin,
        empty.rigid,
        empty.rigid_start,
        gaussians.opacities,
        gaussians.colors,
        np.full(count, int(region), np.uint8),
        _each(appear, count),
        least_size,
    )


def flat(
    means: FloatArray,
    normals: FloatArray,
    sigma: FloatArray | float,
    colors: FloatArray,
    *,
    opacity: FloatArray | float,
    along: FloatArray | None = None,
    thickness: float = 0.0004,
) -> Gaussians:
    """Flat Gaussians on a surface.

    means, normals, colors: (N, 3); sigma: metres, (N,), (N, 2) along and across, or one for all; along: (N, 3) direction of the
    first axis; thickness: metres, standard deviation along the normal.
    """
    count = len(means)
    wide = np.asarray(sigma, np.float64)
    wide = np.broadcast_to(wide[:, None] if wide.ndim == 1 else wide, (count, 2))
    scales = np.concatenate([wide, np.full((count, 1), thickness)], 1)
    return _gaussians(means, frames(normals, along), scales, colors, opacity)


def tube(
    points: FloatArray,
    radius: FloatArray | float,
    colors: FloatArray,
    *,
    opacity: FloatArray | float = 0.97,
    closed: bool,
) -> Gaussians:
    """A chain of Gaussians along a line, one for each segment.

    points: (N, 3) metres; radius: metres of what is seen, one or one for each segment; colors: (3,) or one for each segment;
    closed: the last point is joined to the first.
    """
    following = np.roll(points, -1, 0) if closed else points[1:]
    begin = points if closed else points[:-1]
    return segments(begin, following, radius, colors, opacity=opacity, overlap=0.75)  # no beads


def segments(
    begin: FloatArray,
    end: FloatArray,
    radius: FloatArray | float,
    colors: FloatArray,
    *,
    opacity: FloatArray | float,
    overlap: float = 0.5,
) -> Gaussians:
    """A long Gaussian for each line from `begin` to `end`, (N, 3) metres; radius and colors as for `tube`.

    overlap: standard deviation along the line over its length.
    """
    count = len(begin)
    line = end - begin
    length = np.linalg.norm(line, axis=1)
    across = np.broadcast_to(np.asarray(radius, np.float64), (count,)) * COVERAGE
    scales = np.stack([np.maximum(overlap * length, across), across, across], 1)
    direction = line / np.maximum(length, 1e-9)[:, None]
    normal = np.cross(
        direction, np.where(np.abs(direction[:, 1:2]) > 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    )
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    return _gaussians((begin + end) / 2, frames(normal, direction), scales, colors, opacity)


def joined(*parts: Gaussians) -> Gaussians:
    """One set of several."""
    return concatenate(*parts)


def joined_added(*parts: AddedGaussians) -> AddedGaussians:
    """Several sets of one kind of binding (surface or rigid) as one, with the least size of the first."""
    first = parts[0]
    if len({len(one.surface.triangles) > 0 for one in parts}) != 1:
        raise ValueError("sets bound to the surface and rigid ones cannot be joined")

    def together(owners: list[object]) -> list[np.ndarray]:
        return [np.concatenate([getattr(one, name) for one in owners]) for name in vars(owners[0])]

    opacities, colors, regions, appear = (
        np.concatenate([getattr(one, name) for one in parts])
        for name in ("opacities", "colors", "regions", "appear")
    )
    return AddedGaussians(
        SurfaceBinding(*together([one.surface for one in parts])),
        np.concatenate([one.surface_start for one in parts]),
        RigidBinding(*together([one.rigid for one in parts])),
        np.concatenate([one.rigid_start for one in parts]),
        opacities,
        colors,
        regions,
        appear,
        first.least_size,
        first.solid,
    )


def _gaussians(
    means: FloatArray,
    axes: FloatArray,
    scales: FloatArray,
    colors: FloatArray,
    opacity: FloatArray | float,
) -> Gaussians:
    count = len(means)
    shades = np.broadcast_to(np.asarray(colors, np.float64), (count, 3))
    return Gaussians(
        means.astype(np.float32),
        to_quat(axes).astype(np.float32),
        scales.astype(np.float32),
        _each(opacity, count),
        np.clip(shades, 0.002, 0.998).astype(np.float32),
    )


def _each(value: FloatArray | float, count: int) -> Float32Array:
    return np.broadcast_to(np.asarray(value, np.float32), (count,)).copy()
