"""A fringe, added to the hair of the person."""

from __future__ import annotations

import numpy as np

from offline.looks.assembly import attribute, changes, rigid_added
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
