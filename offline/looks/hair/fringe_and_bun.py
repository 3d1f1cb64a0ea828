"""Hair added to the person's hair: a fringe and a bun."""

from __future__ import annotations

import numpy as np

from offline.looks.assembly import attribute, changes, flat, joined, rigid_added
from offline.looks.hair.grown_strands import (
    SkinField,
    StrandStyle,
    grow,
    roots_on,
    strand_gaussians,
)
from offline.looks.measured_head import centers_of, head_shape, own_tones
from offline.numeric import normalized, ramp
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.regions import Region

_SEED = 31
_FRINGE = StrandStyle(5, 0.12, 0.05, 0.55, 7, 0.0008, 0.4, 0.0035)
_BUN = 0.034  # metres, radius


def fringe(avatar: Avatar) -> Attribute:
    """Hair over the forehead down to the brows."""
    shape = head_shape(avatar)
    rng = np.random.default_rng(_SEED)
    x, y, z = shape.template.T
    density = (
        ramp(np.abs(x), 0.052, 0.044)
        * ramp(y, 0.056, 0.062)
        * ramp(y, 0.088, 0.080)
        * ramp(z, -0.03, -0.02)
    )
    density = density * shape.skin
    on = roots_on(shape, density, 0.0026, rng)
    triangles = avatar.rig.triangles
    roots = on.interpolate(shape.vertices, triangles).astype(np.float64)
    rest = on.interpolate(shape.template, triangles)
    brow = float(shape.landmarks[[105, 334, 66, 296], 1].mean())
    length = (roots[:, 1] - brow) * 1.06 + 0.006 * (np.abs(rest[:, 0]) / 0.05) ** 2
    length = length * rng.uniform(0.78, 1.08, len(roots))
    lines = grow(SkinField(shape), roots, length, _over_forehead, _FRINGE, rng)
    tone = own_tones(shape, len(roots), rng)
    shade = shape.light.shade(normalized(np.tile([[0.0, 0.35, 0.9]], (len(roots), 1))))
    gaussians = strand_gaussians(
        lines, 0.0011, 0.85 * tone * shade, 1.05 * tone * shade, opacity=0.93
    )
    steps = _FRINGE.steps
    appear = np.repeat(rng.uniform(0, 0.35, len(roots)), steps)
    added = rigid_added(
        gaussians,
        start=np.repeat(lines[:, 0], steps, 0),
        appear=appear,
        least_size=0.35,
        region=Region.HAIR,
    )
    places = centers_of(avatar)
    forehead = (
        (avatar.regions == Region.SKIN) & (places[:, 2] > -0.03) & (np.abs(places[:, 0]) < 0.055)
    )
    shadow = 0.22 * ramp(places[:, 1], brow - 0.008, brow + 0.006) * forehead
    return attribute("hair-fringe", "Fringe", "hair", added, changes(avatar, brightness=1 - shadow))


def _over_forehead(places: FloatArray) -> FloatArray:
    x = places[:, 0]
    return np.stack([0.25 + 2.5 * x, np.full_like(x, -1.0), np.full_like(x, 0.8)], 1)


def bun(avatar: Avatar) -> Attribute:
    """A knot on the crown."""
    shape = head_shape(avatar)
    rng = np.random.default_rng(_SEED)
    axis = normalized(np.array([[0.0, 0.86, -0.5]]))[0]
    places = centers_of(avatar)
    hair = shape.hair & (avatar.opacities > 0.5)
    away = places[hair] - shape.skull.center
    distance = np.linalg.norm(away, axis=1)
    near = (away @ axis) / np.maximum(distance, 1e-6) > 0.96
    bare = float(shape.skull.reach(shape.skull.center, axis[None])[0])
    ground = float(np.percentile(distance[near], 70)) if near.sum() > 20 else bare
    center = shape.skull.center + (ground + 0.55 * _BUN) * axis
    across = np.array([1.0, 0, 0])
    other = np.cross(axis, across)
    count, steps = 430, 6
    latitude = np.arcsin(rng.uniform(-0.75, 1, count))
    begin = rng.uniform(0, 2 * np.pi, count)
    turn = begin[:, None] + np.linspace(0, 1, steps + 1) * rng.uniform(0.9, 1.6, (count, 1))
    tilt = latitude[:, None] + np.linspace(-0.5, 0.5, steps + 1) * rng.normal(
        0.35, 0.25, (count, 1)
    )
    radius = _BUN * (
        1 + 0.05 * rng.standard_normal((count, 1)) + 0.05 * np.sin(3 * turn + 4 * tilt)
    )
    flat_radius, height = radius * np.cos(tilt), 0.78 * radius * np.sin(tilt)
    lines = (
        center
        + (flat_radius * np.cos(turn))[..., None] * across
        + (flat_radius * np.sin(turn))[..., None] * other
    )
    lines = lines + height[..., None] * axis
    outwards = normalized(lines[:, steps // 2] - center)
    shade = shape.light.shade(outwards) * (0.62 + 0.38 * ramp(np.sin(latitude), -0.6, 0.2))[:, None]
    groove = 0.8 + 0.3 * np.sin(3 * begin + 4 * latitude)[:, None]
    tone = own_tones(shape, count, rng) * shade * groove
    strands = strand_gaussians(lines, 0.0017, tone, 1.1 * tone, opacity=0.93)
    k = np.arange(160) + 0.5
    up, around = 1 - 2 * k / 160, k * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - up**2)
    ball = (
        ring[:, None] * (np.cos(around)[:, None] * across + np.sin(around)[:, None] * other)
        + up[:, None] * axis
    )
    core = center + 0.93 * _BUN * (ball - 0.2 * up[:, None] * axis)
    inner = flat(
        core,
        ball,
        0.0048,
        0.55 * shape.hair_color * shape.light.shade(ball),
        opacity=0.95,
        thickness=0.001,
    )
    whole = joined(strands, inner)
    # On the scalp at first: where another look shortens the hair below, the bun sinks with it
    start = shape.skull.center + (bare - 0.01) * axis + 0.25 * (whole.means - center)
    below = np.linalg.norm(places - (center - 0.6 * _BUN * axis), axis=1)
    shadow = 0.35 * shape.hair * ramp(below, 1.5 * _BUN, 0.8 * _BUN)
    return attribute(
        "hair-bun",
        "Bun",
        "hair",
        rigid_added(whole, start=start, least_size=0.3, region=Region.HAIR),
        changes(avatar, brightness=1 - shadow),
    )
