"""A bun: the person's hair combed back over the scalp into a knot, in place of how it is worn."""

from __future__ import annotations

import numpy as np

from offline.looks.assembly import attribute, flat, joined, joined_added, rigid_added
from offline.looks.hair.grown_strands import SkinField, roots_on, strand_gaussians
from offline.looks.hair.hair_length import Cut, locks_along, typical_color, without_hair
from offline.looks.measured_head import HeadShape, head_shape, own_tones
from offline.looks.skin.under_hair import own_head
from offline.numeric import normalized, ramp
from perse_live.arrays import FloatArray
from perse_live.attributes import AddedGaussians, Attribute
from perse_live.avatar import Avatar
from perse_live.gaussians import Gaussians
from perse_live.regions import Region

_SEED = 31
_KNOT = 0.034  # metres, radius
_AXIS = normalized(np.array([[0.0, 0.86, -0.5]]))[0]
"""Unit, head frame: direction from the skull's centre to the knot."""
_STRANDS, _STEPS, _CORE = 380, 6, 160  # strands of the knot, their segments, Gaussians inside
_SUNK = 0.55  # of its radius: how far the knot's centre lies above the hair
_ENTRY = 0.6  # of the knot's radius: where combed hair goes in
_COMBED = Cut(0.0090, 6, (0.0, 0.0), -1.0, 0.0044, 0.0085, 0.0)
"""Lengths and direction follow from the way to the knot."""
_STRAY = 0.05  # of the way: how far locks are off the shortest way to the knot
_SETTLED = 3  # times that lines are put back on their height above the skin
_LEAST_CLEARANCE = 0.0015  # metres between combed hair and skin
_TINT = 0.92  # weight of the hair's colour on the scalp under it


def bun(avatar: Avatar) -> Attribute:
    """A knot on the crown, of all hair."""
    shape = head_shape(avatar)
    rng = np.random.default_rng(_SEED)
    lines = _combed_back(shape, rng)
    bare = float(shape.skull.reach(shape.skull.center, _AXIS[None])[0])
    center = shape.skull.center + (bare + _COMBED.body + _SUNK * _KNOT) * _AXIS
    own = own_head(avatar, shape.template, shape.charts)
    return attribute(
        "hair-bun",
        "Bun",
        "hair",
        joined_added(locks_along(shape, lines, _COMBED, rng), _knot(shape, center, rng)),
        without_hair(shape, own, typical_color(shape), _TINT),
    )


def _combed_back(shape: HeadShape, rng: np.random.Generator) -> FloatArray:
    """Lines (N, steps + 1, 3) from the scalp to the knot, along great circles of the skull and close to the skin."""
    field, center = SkinField(shape), shape.skull.center
    on = roots_on(shape, shape.charts.scalp * (shape.charts.ears < 0.2), _COMBED.spacing, rng)
    roots = on.interpolate(shape.vertices, shape.avatar.rig.triangles).astype(np.float64)
    begin = normalized(roots - center)
    angle = np.arccos(np.clip(begin @ _AXIS, -1, 1))
    bare = float(shape.skull.reach(center, _AXIS[None])[0])
    left = np.arcsin(_ENTRY * _KNOT / bare)
    far = angle > 1.5 * left
    roots, begin, angle = roots[far], begin[far], angle[far]
    count, steps = len(roots), _COMBED.steps
    share = np.linspace(0, 1, steps + 1)
    turned = share * (angle - left)[:, None]
    across = normalized(np.cross(np.cross(begin, _AXIS), begin))
    stray = _STRAY * rng.standard_normal((count, 1)) * np.sin(np.pi * share)
    side = normalized(np.cross(begin, across))
    directions = normalized(
        (
            np.cos(turned)[..., None] * begin[:, None]
            + np.sin(turned)[..., None] * across[:, None]
            + stray[..., None] * side[:, None]
        ).reshape(-1, 3)
    )
    crown = ramp(roots[:, 1], -0.05, 0.09)
    body = _COMBED.body * (0.4 + 0.6 * crown) * rng.uniform(0.8, 1.1, count)
    height = (body[:, None] * np.minimum(1, 3 * share)).reshape(-1)
    places = center + np.repeat(np.linalg.norm(roots - center, axis=1), steps + 1)[:, None] * (
        directions
    )
    for _ in range(_SETTLED):
        foot = field.foot(places)
        places = places + (height - foot.heights)[:, None] * foot.normals
    lines = places.reshape(count, steps + 1, 3)
    lines[:, 1:-1] = 0.5 * lines[:, 1:-1] + 0.25 * (lines[:, :-2] + lines[:, 2:])  # over the ears
    low = np.full(count * (steps + 1), _LEAST_CLEARANCE)
    lines = field.lifted(lines.reshape(-1, 3), low).reshape(lines.shape)
    lines[:, 0] = roots
    return lines


def _knot(shape: HeadShape, center: FloatArray, rng: np.random.Generator) -> AddedGaussians:
    """Strands wound about the knot's axis around a dark core."""
    across = np.array([1.0, 0, 0])
    other = np.cross(_AXIS, across)
    latitude = np.arcsin(rng.uniform(-0.75, 1, _STRANDS))
    begin = rng.uniform(0, 2 * np.pi, _STRANDS)
    share = np.linspace(0, 1, _STEPS + 1)
    turn = begin[:, None] + share * rng.uniform(0.9, 1.6, (_STRANDS, 1))
    tilt = latitude[:, None] + (share - 0.5) * rng.normal(0.35, 0.25, (_STRANDS, 1))
    radius = _KNOT * (
        1 + 0.05 * rng.standard_normal((_STRANDS, 1)) + 0.05 * np.sin(3 * turn + 4 * tilt)
    )
    flat_radius, height = radius * np.cos(tilt), 0.78 * radius * np.sin(tilt)
    lines = (
        center
        + (flat_radius * np.cos(turn))[..., None] * across
        + (flat_radius * np.sin(turn))[..., None] * other
        + height[..., None] * _AXIS
    )
    outwards = normalized(lines[:, _STEPS // 2] - center)
    shade = shape.light.shade(outwards) * (0.62 + 0.38 * ramp(np.sin(latitude), -0.6, 0.2))[:, None]
    groove = 0.8 + 0.3 * np.sin(3 * begin + 4 * latitude)[:, None]
    tone = own_tones(shape, _STRANDS, rng) * shade * groove
    whole = joined(
        strand_gaussians(lines, 0.0017, tone, 1.1 * tone, opacity=0.93),
        _core(shape, center, across, other),
    )
    start = np.repeat((center - _KNOT * _AXIS)[None], len(whole), 0)
    return rigid_added(whole, start=start, least_size=0.3, region=Region.HAIR)


def _core(shape: HeadShape, center: FloatArray, across: FloatArray, other: FloatArray) -> Gaussians:
    """Inside of the knot, evenly spread over a sphere (golden angle)."""
    k = np.arange(_CORE) + 0.5
    up, around = 1 - 2 * k / _CORE, k * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - up**2)
    ball = ring[:, None] * (np.cos(around)[:, None] * across + np.sin(around)[:, None] * other)
    ball = ball + up[:, None] * _AXIS
    return flat(
        center + 0.93 * _KNOT * (ball - 0.2 * up[:, None] * _AXIS),
        ball,
        0.0048,
        0.55 * shape.hair_color * shape.light.shade(ball),
        opacity=0.95,
        thickness=0.001,
    )
