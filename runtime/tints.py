"""Tints of hair and eyes, for avatars without attributes in their file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.attributes import Attribute, nothing_added
from perse_live.avatar import Avatar
from perse_live.regions import Region

_HAIR = (Region.HAIR, Region.HAIR_BACK, Region.SCALP)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_IRIS_DEGREES, _PUPIL_DEGREES, _SEARCHED_DEGREES = 25.0, 9.0, 38.0  # seen from the eyeball's centre
# Metres, head frame: no hair of the head grows below and before
_FACE_TOP, _FACE_BACK = (0.035, -0.03)


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


def tints_of(avatar: Avatar) -> tuple[Attribute, ...]:
    """The tints that apply to an avatar's hair and irises."""
    places = {"hair": hair_gaussians(avatar), "eyes": iris_gaussians(avatar)}
    return tuple(
        _attribute(avatar, tint, places[tint.slot]) for tint in _TINTS if len(places[tint.slot])
    )


def _attribute(avatar: Avatar, tint: _Tint, ids: Int32Array) -> Attribute:
    return Attribute(
        tint.name,
        tint.label,
        tint.slot,
        ids,
        _tinted(avatar.colors[ids], tint),
        avatar.opacities[ids],
        np.zeros(0, np.int32),
        np.zeros((0, 3), np.float32),
        nothing_added(),
    )


def hair_gaussians(avatar: Avatar) -> Int32Array:
    """Which Gaussians (N,) show hair of the head, without single ones in brows and face."""
    hair = np.isin(avatar.regions, _HAIR)
    places = _places_at_rest(avatar)
    hair[: len(places)] &= (places[:, 1] > _FACE_TOP) | (places[:, 2] < _FACE_BACK)
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
        ball = (
            (avatar.regions[:count] == Region.EYE)
            & (length < 1.3 * avatar.rig.eye_radius)
            & (ray[:, 2] > 0)
        )
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
    # About -0.5 to 0.5, independent of the hair's contrast
    relief = (light - middle) / max(bright - dark, 0.05)
    lightness = wanted * np.clip(1 + 0.9 * relief, 0.35, 1.3)
    foreign = np.clip((light - bright - 0.03) / 0.2, 0, 1)[:, None]
    tinted = target / goal * lightness[:, None]
    return np.clip(tinted * (1 - foreign) + colors * foreign, 0, 1).astype(np.float32)
