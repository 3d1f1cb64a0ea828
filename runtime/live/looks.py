"""Changes of an avatar's colours that can be faded in and out: hair and eyes.

Each look knows which Gaussians it concerns and what colour they take at full weight; in between, colours are blended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.avatar import Avatar
from perse_live.regions import Region

_HAIR = (Region.HAIR, Region.HAIR_BACK, Region.SCALP)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_IRIS_DEGREES, _PUPIL_DEGREES = 27.0, 10.0  # seen from the eyeball's centre, from the line of sight


@dataclass(frozen=True)
class _Tint:
    """A colour for a kind of part."""

    name: str
    label: str
    slot: str
    color: tuple[float, float, float]
    """sRGB of a spot of middling lightness."""
    lift: float
    """How far the parts' lightness moves towards the colour's, [0, 1]; strands keep their light and dark."""


_TINTS = (
    _Tint("hair-copper", "Copper hair", "hair", (0.56, 0.27, 0.12), 0.75),
    _Tint("hair-blond", "Blond hair", "hair", (0.76, 0.62, 0.40), 0.8),
    _Tint("hair-raven", "Raven hair", "hair", (0.09, 0.085, 0.095), 0.85),
    _Tint("hair-blue", "Blue hair", "hair", (0.17, 0.30, 0.66), 0.75),
    _Tint("eyes-blue", "Blue eyes", "eyes", (0.36, 0.52, 0.68), 0.7),
    _Tint("eyes-green", "Green eyes", "eyes", (0.38, 0.50, 0.32), 0.7),
    _Tint("eyes-amber", "Amber eyes", "eyes", (0.60, 0.40, 0.16), 0.7),
)


@dataclass(frozen=True, eq=False)
class Look:
    """One attribute: other colours for some Gaussians."""

    name: str
    label: str
    """For people."""
    slot: str
    """Attributes of one slot share the weight 1 between them."""
    ids: Int32Array
    """(N,) Gaussians concerned."""
    colors: Float32Array
    """(N, 3) at full weight, sRGB."""


def looks_of(avatar: Avatar) -> tuple[Look, ...]:
    """The looks an avatar can take on, in the order of their keys; none for parts that it has not."""
    places = {"hair": np.nonzero(np.isin(avatar.regions, _HAIR))[0], "eyes": iris_gaussians(avatar)}
    looks: list[Look] = []
    for tint in _TINTS:
        ids = places[tint.slot].astype(np.int32)
        if len(ids):
            looks.append(Look(tint.name, tint.label, tint.slot, ids, _tinted(avatar.colors[ids], tint)))
    return tuple(looks)


def blended(base: Float32Array, looks: Sequence[Look], weights: Mapping[str, float]) -> Float32Array:
    """Colours (G, 3) under weights.

    base: (G, 3) the avatar's own, returned as it is where no weight is above 0; weights: by name, [0, 1]; where those of a slot
    sum to more than 1 they are scaled down to it.
    """
    total: defaultdict[str, float] = defaultdict(float)
    for look in looks:
        total[look.slot] += weights.get(look.name, 0.0)
    if not any(total.values()):
        return base
    colors = base.copy()
    for look in looks:
        if (weight := weights.get(look.name, 0.0)) > 0:
            share = np.float32(weight / max(total[look.slot], 1.0))
            colors[look.ids] += share * (look.colors - base[look.ids])
    return np.clip(colors, 0, 1)


def iris_gaussians(avatar: Avatar) -> Int32Array:
    """Which Gaussians (N,) show the irises, without the pupils: by their angle from the line of sight at rest."""
    surface, rig = avatar.surface, avatar.rig
    count = len(surface.triangles)
    on_eye = np.nonzero(avatar.regions[:count] == Region.EYE)[0]
    v0, v1, v2 = (rig.vertices[rig.triangles[surface.triangles[on_eye], corner]] for corner in range(3))
    b1, b2 = surface.positions[on_eye, 0:1], surface.positions[on_eye, 1:2]
    places = v0 + b1 * (v1 - v0) + b2 * (v2 - v0)
    chosen: list[FloatArray] = []
    for center in rig.eye_centers:
        ray = places - center
        length = np.linalg.norm(ray, axis=1)
        angle = np.degrees(np.arccos(np.clip(ray[:, 2] / np.maximum(length, 1e-9), -1, 1)))
        chosen.append((length < 1.3 * rig.eye_radius) & (angle < _IRIS_DEGREES) & (angle > _PUPIL_DEGREES))
    return on_eye[np.any(chosen, axis=0)].astype(np.int32)


def _tinted(colors: Float32Array, tint: _Tint) -> Float32Array:
    """The tint with the light and dark of what it colours; highlights keep their own colour."""
    target = np.array(tint.color, np.float32)
    light = colors @ _LUMA
    middle = float(np.median(light))
    wanted = middle + tint.lift * (float(target @ _LUMA) - middle)
    contrast = np.clip(wanted / max(middle, 0.05), 0.6, 2.2)
    lightness = np.clip(wanted + (light - middle) * contrast, 0.01, 0.95)
    tinted = target / float(target @ _LUMA) * lightness[:, None]
    glint = np.clip((light - middle - 0.35) / 0.3, 0, 1)[:, None]
    return np.clip(tinted * (1 - glint) + colors * glint, 0, 1).astype(np.float32)
