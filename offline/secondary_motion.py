"""Secondary motion: hair and earrings that swing after the head, shoulders that rise with the breath.

They are correctives like all others: offsets that are linear in small angles and in how far the lungs are filled. What the inputs
are at a moment says `runtime.secondary_motion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from offline.numeric import ramp
from offline.rig.template_regions import EAR_LOBES
from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.arrays import Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.correctives import Component, Curve, join, offsets_in_binding, sparse
from perse_live.correctives import ramp as rising
from perse_live.decoder.features import places_at_rest
from perse_live.head.rig import HeadRig
from perse_live.regions import Region

_LARGEST = 0.5  # radians at which a sway's feature is 1; offsets are linear in it
SWAYS = tuple(
    Component(f"sway-{name.lower()}", (Curve(f"sway{name}", ((-_LARGEST, -1.0), (_LARGEST, 1.0))),))
    for name in ("Pitch", "Yaw", "Roll")
)
COMPONENTS = (*SWAYS, Component("breath", (rising("breath", 0.0, 1.0),)))
"""Rotation about x, y and z of what hangs loose, and breath."""

HAIR = (Region.HAIR, Region.HAIR_BACK)
"""Regions that swing."""
PIVOT = np.array([0.0, -0.02, -0.06])  # metres, head frame: between the ears
# Metres, heights above which hair is fixed (the ears) and below which it is fully loose (the shoulders)
_HELD, _LOOSE = (EAR_LOBES, -0.20)
SHARE = 0.35  # fraction of a pendulum's rotation that loose hair makes: its upper part is fixed
# Metres, of shoulders and chest at a calm full breath
_BREATH_RISE = np.array([0.0, 0.0028, 0.0016])
_LEAST_OFFSET = 2e-4  # metres; less is not seen


def with_secondary_motion(avatar: Avatar) -> Avatar:
    """An avatar without looks whose long hair swings and whose shoulders breathe.

    All components are added, also where nothing of the avatar itself follows them: looks may. Raises InvalidCorrectivesError
    where there is no room for so many.
    """
    places = places_at_rest(avatar.rig, avatar.surface, avatar.rigid)
    follow = head_weights(avatar.rig, avatar.surface, avatar.rigid)
    loose = np.where(np.isin(avatar.regions, HAIR), looseness(places), 0) * follow
    arms, earrings = places - PIVOT, avatar.regions == Region.ACCESSORY
    arms[earrings], loose[earrings] = hanging(places[earrings])
    fields = [*swings(arms, loose), (1 - follow)[:, None] * _BREATH_RISE]
    offsets = np.stack([in_bindings(avatar.rig, avatar.surface, field) for field in fields])
    moving = sparse(COMPONENTS, np.zeros_like(offsets), np.zeros_like(offsets[..., 0]), offsets)
    return replace(avatar, correctives=join(avatar.correctives, moving))


def looseness(places: FloatArray) -> FloatArray:
    """How freely hair hangs, (N,) in [0, 1], by how far below the ears it is."""
    return ramp(-places[:, 1], -_HELD, -_LOOSE)


def hanging(places: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Arms (N, 3) from the hook of the earring on the same side, and how far each point turns about it, [0, 1]."""
    arms = np.zeros_like(places)
    for side in (places[:, 0] < 0, places[:, 0] >= 0):
        if side.any():
            arms[side] = places[side] - places[side][np.argmax(places[side, 1])]
    return arms, ramp(-arms[:, 1], 0.002, 0.012) / SHARE


def swings(arms: FloatArray, weights: FloatArray) -> Sequence[FloatArray]:
    """Displacements (N, 3) by the largest rotation about x, y and z of points at arms (N, 3) from their pivot; weights: (N,)."""
    return [_LARGEST * SHARE * weights[:, None] * np.cross(axis, arms) for axis in np.eye(3)]


def in_bindings(rig: HeadRig, surface: SurfaceBinding, field: FloatArray) -> Float32Array:
    """Displacements (N, 3) at rest, metres, head frame, in the coordinates of the bindings; those that are not seen are 0."""
    ids = np.nonzero(np.linalg.norm(field, axis=1) > _LEAST_OFFSET)[0].astype(np.int32)
    out = np.zeros(field.shape, np.float32)
    out[ids] = offsets_in_binding(rig, surface, ids, field[ids].astype(np.float32))
    return out


def head_weights(rig: HeadRig, surface: SurfaceBinding, rigid: RigidBinding) -> Float32Array:
    """How far Gaussians follow the head rather than the shoulders, (S + R,)."""
    corners = rig.triangles[surface.triangles]
    return np.concatenate([rig.head_weights[corners].mean(1), rigid.head_weights])
