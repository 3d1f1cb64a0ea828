"""Changes of an avatar's colours that can be faded in and out: hair and eyes.

Each look knows which Gaussians it concerns and what colour they take at full weight; in between, colours are blended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.avatar import Avatar
from perse_live.errors import UserError
from perse_live.regions import Region

_HAIR = (Region.HAIR, Region.HAIR_BACK, Region.SCALP)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_IRIS_DEGREES, _PUPIL_DEGREES, _SEARCHED_DEGREES = 25.0, 9.0, 38.0  # seen from the eyeball's centre
_FACE_TOP, _FACE_BACK = 0.035, -0.03  # metres, head frame: no hair of the head grows below and before


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
    places = {"hair": hair_gaussians(avatar), "eyes": iris_gaussians(avatar)}
    looks: list[Look] = []
    for tint in _TINTS:
        ids = places[tint.slot]
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


def dressed(avatar: Avatar, wishes: Sequence[str]) -> Avatar:
    """The avatar wearing attributes for good.

    wishes: such as "hair-copper=0.7", weights in [0, 1]. Raises UserError for one that is not understood or not there.
    """
    if not wishes:
        return avatar
    looks = looks_of(avatar)
    weights: dict[str, float] = {}
    for wish in wishes:
        name, _, value = wish.partition("=")
        if not any(look.name == name for look in looks):
            raise UserError(f"there is no attribute {name[:40]!r}: there are {', '.join(look.name for look in looks) or 'none'}")
        try:
            weights[name] = float(value)
        except ValueError:
            weights[name] = -1
        if not 0 <= weights[name] <= 1:
            raise UserError(f"the weight of {wish[:60]!r} is not a number from 0 to 1: write {name}=0.7")
    return replace(avatar, colors=blended(avatar.colors, looks, weights))


def hair_gaussians(avatar: Avatar) -> Int32Array:
    """Which Gaussians (N,) show hair of the head, without single ones in brows and face."""
    hair = np.isin(avatar.regions, _HAIR)
    places = _places_at_rest(avatar)
    hair[:len(places)] &= (places[:, 1] > _FACE_TOP) | (places[:, 2] < _FACE_BACK)
    return np.nonzero(hair)[0].astype(np.int32)


def iris_gaussians(avatar: Avatar) -> Int32Array:
    """Which Gaussians (N,) show the irises, without pupils: by their angle from the middle of what is dark on each eyeball."""
    count = len(avatar.surface.triangles)
    places = _places_at_rest(avatar)
    light = avatar.colors[:count] @ _LUMA
    chosen = np.zeros(count, np.bool_)
    for center in avatar.rig.eye_centers:
        ray = places - center
        length = np.linalg.norm(ray, axis=1)
        ray /= np.maximum(length, 1e-9)[:, None]
        ball = (avatar.regions[:count] == Region.EYE) & (length < 1.3 * avatar.rig.eye_radius) & (ray[:, 2] > 0)
        front = ball & (ray[:, 2] > np.cos(np.radians(_SEARCHED_DEGREES)))
        if front.sum() < 20:
            continue
        darkness = np.clip(np.percentile(light[front], 60) - light[front], 0, None) + 1e-6
        axis = (ray[front] * darkness[:, None]).sum(0)
        angle = np.degrees(np.arccos(np.clip(ray @ (axis / np.linalg.norm(axis)), -1, 1)))
        chosen |= ball & (angle < _IRIS_DEGREES) & (angle > _PUPIL_DEGREES)
    return np.nonzero(chosen)[0].astype(np.int32)


def _places_at_rest(avatar: Avatar) -> FloatArray:
    """Where the Gaussians on the surface lie at rest, (S, 3) metres, head frame; lifts are left out."""
    surface, rig = avatar.surface, avatar.rig
    v0, v1, v2 = (rig.vertices[rig.triangles[surface.triangles, corner]] for corner in range(3))
    return v0 + surface.positions[:, 0:1] * (v1 - v0) + surface.positions[:, 1:2] * (v2 - v0)


def _tinted(colors: Float32Array, tint: _Tint) -> Float32Array:
    """The tint with the light and dark of what it colours; what is much lighter than the rest keeps its colour."""
    target = np.array(tint.color, np.float32)
    goal = float(target @ _LUMA)
    light = colors @ _LUMA
    dark, middle, bright = np.percentile(light, (5, 50, 90))
    wanted = middle + tint.lift * (goal - middle)
    relief = (light - middle) / max(bright - dark, 0.05)  # about -0.5 to 0.5, whatever the hair's own contrast
    lightness = wanted * np.clip(1 + 0.9 * relief, 0.35, 1.3)
    foreign = np.clip((light - bright - 0.03) / 0.2, 0, 1)[:, None]
    tinted = target / goal * lightness[:, None]
    return np.clip(tinted * (1 - foreign) + colors * foreign, 0, 1).astype(np.float32)
