"""Other eyebrows: thicker and darker ones with added hairs, and fair, thinned ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from offline.looks.changes import Title, recolored, spots
from offline.looks.face.rest_positions import on_part, places_at_rest
from offline.looks.photo_tones import LUMA, skin_of
from offline.numeric import normalized, ramp
from offline.sampling import poisson_disk
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import LEFT_BROW, RIGHT_BROW
from perse_live.head.rig import Part
from perse_live.regions import Region

_SEED = 63
_THICK = 0.0030  # metres, half the height of a thick brow at least
_HAIR_STEP = 0.0008  # metres between the roots of added hairs
_HAIR_LENGTH, _HAIR_WIDTH = 0.0017, 0.00024  # metres, standard deviations along and across


@dataclass(frozen=True, eq=False)
class _Band:
    """Points in the coordinates of the nearer brow, N each."""

    along: FloatArray
    """0 at the nose, 1 at the temple; beyond outside."""
    across: FloatArray
    """-1 at the lower edge, 1 at the upper one."""
    onward: FloatArray
    """(N, 3) unit direction from nose to temple."""


def _band(avatar: Avatar, places: FloatArray, *, least: float) -> _Band:
    """places: (N, 3) at rest; least: lower bound of half the brow's height in its middle, metres."""
    marks = neutral_landmarks(avatar)
    left, right = (_one(marks[list(brow)], places, least) for brow in (LEFT_BROW, RIGHT_BROW))
    is_left = places[:, 0] > 0
    pick = [
        np.where(is_left if one.ndim == 1 else is_left[:, None], one, other)
        for one, other in zip(left, right, strict=True)
    ]
    return _Band(*pick)


def _one(
    brow: FloatArray, places: FloatArray, least: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """brow: (10, 3) upper edge from the temple to the nose, then the lower edge likewise."""
    upper, lower = brow[4::-1], brow[:4:-1]  # from the nose to the temple
    middle, half = (upper + lower) / 2, np.maximum((upper - lower)[:, 1] / 2, least)
    step = middle[-1] - middle[0]
    along = (places - middle[0]) @ step / (step @ step)
    knots = (middle - middle[0]) @ step / (step @ step)
    center = np.stack([np.interp(along, knots, middle[:, k]) for k in range(3)], 1)
    taper = np.interp(along, (-0.05, 0.05, 0.55, 1.05), (0.75, 1.0, 0.85, 0.30))
    across = (places[:, 1] - center[:, 1]) / (np.interp(along, knots, half) * taper)
    slope = normalized(np.gradient(middle, axis=0))
    onward = normalized(np.stack([np.interp(along, knots, slope[:, k]) for k in range(3)], 1))
    return along, across, onward


def _inside(band: _Band, *, soft: float) -> FloatArray:
    """Weight of the band at points, (N,) in [0, 1]; soft: half the width of its soft edges, relative to its half height."""
    return (
        (1 - ramp(np.abs(band.across), 1 - soft, 1 + soft))
        * ramp(band.along, -0.06, 0.05)
        * (1 - ramp(band.along, 0.97, 1.1))
    )


def _skin(avatar: Avatar) -> FloatArray:
    return (on_part(avatar, Part.SKIN) & (avatar.regions == Region.SKIN)).astype(np.float64)


def _hair_color(avatar: Avatar, inside: FloatArray) -> FloatArray:
    """The brows' colour (3,) where it is darker than skin, blended towards that of the head's hair."""
    skin = skin_of(avatar).color
    own = avatar.colors[inside > 0.6]
    dark = (
        np.median(own[own @ LUMA <= np.percentile(own @ LUMA, 25)], 0)
        if len(own) > 20
        else skin * 0.4
    )
    hair = avatar.colors[avatar.regions == Region.HAIR]
    hair = np.median(hair, 0) if len(hair) else dark
    return np.minimum(
        np.minimum(dark, 0.5 * dark + 0.4 * hair), skin * np.array([0.55, 0.48, 0.44])
    )


def _full(avatar: Avatar) -> Attribute:
    """Thick: the band darkened, and hairs drawn over it, upright at the nose and lying down towards the temple."""
    rig, rng = avatar.rig, np.random.default_rng(_SEED)
    inside = _inside(_band(avatar, places_at_rest(avatar), least=_THICK), soft=0.35) * _skin(avatar)
    color = _hair_color(avatar, inside)
    middle = rig.vertices[rig.triangles].mean(1)
    near = _band(avatar, middle, least=_THICK)
    around = (
        (rig.parts == Part.SKIN)
        & (np.abs(near.across) < 3.5)
        & (np.abs(near.along - 0.5) < 0.75)
        & (middle[:, 2] > -0.02)
    )
    points = poisson_disk(rig.vertices, rig.triangles, np.where(around, _HAIR_STEP, 0), rng=rng)
    band = _band(avatar, points.interpolate(rig.vertices, rig.triangles), least=_THICK)
    kept = rng.random(len(points)) < (0.35 + 0.5 * ramp(band.along, -0.05, 0.2)) * _inside(
        band, soft=0.4
    )
    points, band = points.select(kept), _Band(*(value[kept] for value in vars(band).values()))
    upright = np.radians(
        np.interp(band.along, (0, 0.25, 0.6, 1), (68, 42, 22, 4))
    ) - 0.30 * band.across * (band.along > 0.2)
    upright += rng.normal(0, 0.13, len(points))
    up = np.array([0.0, 1.0, 0.0])
    direction = np.cos(upright)[:, None] * band.onward + np.sin(upright)[:, None] * up
    sigma = np.stack(
        [_HAIR_LENGTH * rng.uniform(0.7, 1.1, len(points)), np.full(len(points), _HAIR_WIDTH)], 1
    )
    shades = color * rng.uniform(0.7, 1.25, (len(points), 1))
    opacity = rng.uniform(0.35, 0.70, len(points))
    drawn = spots(
        avatar,
        rig.vertices,
        points,
        sigma,
        shades,
        opacity,
        rng.uniform(0, 0.6, len(points)),
        along=direction,
    )
    return recolored(
        avatar,
        Title("brows-thick", "Thick eyebrows", "eyebrows"),
        color,
        0.42 * inside,
        added=drawn,
    )


def _dark(avatar: Avatar) -> Attribute:
    inside = _inside(_band(avatar, places_at_rest(avatar), least=0.0022), soft=0.45) * _skin(avatar)
    light, skin = avatar.colors @ LUMA, float(skin_of(avatar).color @ LUMA)
    hairy = 0.35 + 0.65 * ramp(1 - light / skin, 0.08, 0.30)
    return recolored(
        avatar,
        Title("brows-dark", "Darker eyebrows", "eyebrows"),
        _hair_color(avatar, inside) * 0.75,
        0.62 * inside * hairy,
    )


def _around(avatar: Avatar, band: _Band, skin: FloatArray) -> FloatArray:
    """The skin's colour (G, 3), interpolated across the brows from above and below."""
    places = places_at_rest(avatar)
    light = avatar.colors @ LUMA
    outside = np.nonzero(
        (skin > 0)
        & (np.abs(band.across) > 1.9)
        & (np.abs(band.across) < 4.5)
        & (np.abs(band.along - 0.5) < 0.7)
        & (light > 0.72 * float(skin_of(avatar).color @ LUMA))
    )[0]
    if len(outside) < 30:
        return np.tile(skin_of(avatar).color, (len(avatar), 1))
    distance, nearest = KDTree(places[outside]).query(places, k=30)
    weight = 1 / (distance + 1e-4)
    return (avatar.colors[outside[nearest]] * weight[..., None]).sum(1) / weight.sum(1)[:, None]


def _fair(avatar: Avatar) -> Attribute:
    """Lighter and thinner: hairs at the edges get the skin's colour, the others half of it."""
    band, skin = _band(avatar, places_at_rest(avatar), least=0.0024), _skin(avatar)
    bare = _around(avatar, band, skin)
    darker = ramp(1 - (avatar.colors @ LUMA) / np.maximum(bare @ LUMA, 0.02), 0.0, 0.06)
    wide = (
        (1 - ramp(np.abs(band.across), 1.9, 2.6))
        * ramp(band.along, -0.22, -0.08)
        * (1 - ramp(band.along, 1.15, 1.35))
    )
    core = 1 - ramp(np.abs(band.across + 0.1), 0.35, 0.85)
    share = wide * darker * (0.95 - 0.30 * core) * skin
    return recolored(avatar, Title("brows-fair", "Fair, thin eyebrows", "eyebrows"), bare, share)


BROWS: dict[str, Callable[[Avatar], Attribute]] = {
    "brows-thick": _full,
    "brows-dark": _dark,
    "brows-fair": _fair,
}
"""By attribute name."""
