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
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.correctives import (
    Component,
    Curve,
    Deltas,
    InvalidCorrectivesError,
    join,
    offsets_in_binding,
    sparse,
)
from perse_live.correctives import ramp as rising
from perse_live.decoder.features import places_at_rest
from perse_live.head.rig import HeadRig
from perse_live.regions import Region

_LARGEST = 0.5  # radians at which a sway's feature is 1; offsets are linear in it
_SWAYS = tuple(
    Component(f"sway-{name.lower()}", (Curve(f"sway{name}", ((-_LARGEST, -1.0), (_LARGEST, 1.0))),))
    for name in ("Pitch", "Yaw", "Roll")
)
COMPONENTS = (*_SWAYS, Component("breath", (rising("breath", 0.0, 1.0),)))
"""Rotation about x, y and z of what hangs loose, and breath."""

_HAIR = (Region.HAIR, Region.HAIR_BACK)
_EARRINGS = "earrings"  # the slot
_PIVOT = np.array([0.0, -0.02, -0.06])  # metres, head frame: between the ears
# Metres, heights above which hair is fixed (the ears) and below which it is fully loose (the shoulders)
_HELD, _LOOSE = (EAR_LOBES, -0.20)
_SHARE = 0.35  # fraction of a pendulum's rotation that loose hair makes: its upper part is fixed
# Metres, of shoulders and chest at a calm full breath
_BREATH_RISE = np.array([0.0, 0.0028, 0.0016])
_FIELDS = ("ids", "colors", "opacities", "offsets")  # of deltas
_LEAST_OFFSET = 2e-4  # metres; less is not seen


def with_secondary_motion(avatar: Avatar) -> Avatar:
    """An avatar without looks whose long hair swings and whose shoulders breathe.

    All components are added, also where nothing of the avatar itself follows them: looks may. Raises InvalidCorrectivesError
    where there is no room for so many.
    """
    places = places_at_rest(avatar.rig, avatar.surface, avatar.rigid)
    follow = _head_weights(avatar.rig, avatar.surface, avatar.rigid)
    loose = np.where(np.isin(avatar.regions, _HAIR), _looseness(places), 0) * follow
    fields = [*_swings(places - _PIVOT, loose), (1 - follow)[:, None] * _BREATH_RISE]
    offsets = np.stack([_in_bindings(avatar.rig, avatar.surface, field) for field in fields])
    moving = sparse(COMPONENTS, np.zeros_like(offsets), np.zeros_like(offsets[..., 0]), offsets)
    return replace(avatar, correctives=join(avatar.correctives, moving))


def with_look_motion(avatar: Avatar, look: Attribute, deltas: Deltas) -> Deltas:
    """Deltas of a look with those by which the hair or the earrings that it adds swing.

    deltas: of the avatar's components; ids: as of `perse_live.correctives.LookCorrectives`.
    """
    names = [one.name for one in avatar.correctives.components]
    numbers = [names.index(one.name) for one in _SWAYS if one.name in names]
    added = look.added
    places = places_at_rest(avatar.rig, added.surface, added.rigid)
    if len(numbers) < len(_SWAYS) or not len(places):
        return deltas
    if look.slot == _EARRINGS:
        fields = _swings(*_hanging(places))
    else:
        loose = np.where(np.isin(added.regions, _HAIR), _looseness(places), 0)
        fields = _swings(
            places - _PIVOT, loose * _head_weights(avatar.rig, added.surface, added.rigid)
        )
    first = len(look.ids)
    parts: list[tuple[np.ndarray, ...]] = [
        tuple(getattr(deltas, name)[deltas.starts[k] : deltas.starts[k + 1]] for name in _FIELDS)
        for k in range(len(names))
    ]
    for k, field in zip(numbers, fields, strict=True):
        shift = _in_bindings(avatar.rig, added.surface, field)
        ids = np.nonzero(shift.any(1))[0]
        if len(parts[k][0]):
            raise InvalidCorrectivesError(f"look {look.name!r} has a sway of its own")
        parts[k] = (first + ids, np.zeros((len(ids), 3)), np.zeros(len(ids)), shift[ids])
    starts = np.concatenate([[0], np.cumsum([len(ids) for ids, *_ in parts])]).astype(np.int32)
    ids, *values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Deltas(starts, ids.astype(np.int32), *(array.astype(np.float32) for array in values))


def _looseness(places: FloatArray) -> FloatArray:
    """How freely hair hangs, (N,) in [0, 1], by how far below the ears it is."""
    return ramp(-places[:, 1], -_HELD, -_LOOSE)


def _hanging(places: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Arms (N, 3) from the hook of the earring on the same side, and how far each point turns about it, [0, 1]."""
    arms = np.zeros_like(places)
    for side in (places[:, 0] < 0, places[:, 0] >= 0):
        if side.any():
            arms[side] = places[side] - places[side][np.argmax(places[side, 1])]
    return arms, ramp(-arms[:, 1], 0.002, 0.012) / _SHARE


def _swings(arms: FloatArray, weights: FloatArray) -> Sequence[FloatArray]:
    """Displacements (N, 3) by the largest rotation about x, y and z of points at arms (N, 3) from their pivot; weights: (N,)."""
    return [_LARGEST * _SHARE * weights[:, None] * np.cross(axis, arms) for axis in np.eye(3)]


def _in_bindings(rig: HeadRig, surface: SurfaceBinding, field: FloatArray) -> Float32Array:
    """Displacements (N, 3) at rest, metres, head frame, in the coordinates of the bindings; those that are not seen are 0."""
    ids = np.nonzero(np.linalg.norm(field, axis=1) > _LEAST_OFFSET)[0].astype(np.int32)
    out = np.zeros(field.shape, np.float32)
    out[ids] = offsets_in_binding(rig, surface, ids, field[ids].astype(np.float32))
    return out


def _head_weights(rig: HeadRig, surface: SurfaceBinding, rigid: RigidBinding) -> Float32Array:
    """How far Gaussians follow the head rather than the shoulders, (S + R,)."""
    corners = rig.triangles[surface.triangles]
    return np.concatenate([rig.head_weights[corners].mean(1), rigid.head_weights])
