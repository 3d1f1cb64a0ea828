"""Lipstick: a pigment on the Gaussians of the lips that keeps their folds and highlights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import KDTree

from offline.looks.changes import Title, recolored, spots
from offline.looks.face.rest_positions import depth_inside, on_part, places_at_rest
from offline.looks.photo_tones import LUMA, Ramp, along_ramp, light_of, lit
from offline.numeric import normalized, ramp
from offline.sampling import poisson_disk
from perse_live.arrays import FloatArray
from perse_live.attributes import AddedGaussians, Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import (
    INNER_LIP_CORNERS,
    INNER_LIP_RING,
    OUTER_LIP_CORNERS,
    OUTER_LIP_RING,
)
from perse_live.head.rig import Part, surface_triangles
from perse_live.raster import vertex_normals
from perse_live.regions import Region

_TINTS = (
    (
        Title("lipstick-red", "Red lipstick", "mouth"),
        Ramp((0.28, 0.015, 0.03), (0.68, 0.06, 0.085), (0.95, 0.42, 0.42)),
    ),
    (
        Title("lipstick-nude", "Nude lipstick", "mouth"),
        Ramp((0.38, 0.20, 0.17), (0.72, 0.46, 0.40), (0.93, 0.74, 0.68)),
    ),
    (
        Title("lipstick-plum", "Plum lipstick", "mouth"),
        Ramp((0.13, 0.015, 0.06), (0.38, 0.075, 0.19), (0.74, 0.40, 0.53)),
    ),
)
_COVER = 0.85
# Metres inside the outline over which base Gaussians of the lips blend to the colour
_SOFT = (-0.0002, 0.0012)
# Metres between fine Gaussians at the outline, and width of their band
_STEP, _BAND = (0.0006, 0.0026)
_SEED = 31
_BEHIND = 0.012  # metres behind the lips' seam where the mouth's lining begins


def _lips_share(avatar: Avatar) -> FloatArray:
    """Weight of each Gaussian in the red of the lips, (G,) in [0, 1]."""
    places, marks = places_at_rest(avatar), neutral_landmarks(avatar)
    depth = depth_inside(places[:, :2], marks[list(OUTER_LIP_RING), :2])
    red = on_part(avatar, Part.SKIN, Part.MOUTH_CAVITY) & np.isin(
        avatar.regions, (Region.SKIN, Region.LIPS)
    )
    front = places[:, 2] > float(marks[list(INNER_LIP_CORNERS), 2].mean()) - _BEHIND
    return red * front * ramp(depth, *_SOFT)


def _outline(avatar: Avatar, colors: FloatArray) -> AddedGaussians:
    """Fine Gaussians along the outline, for which the lips' base Gaussians are too coarse. colors: (G, 3) of the lipstick."""
    rig, marks = avatar.rig, neutral_landmarks(avatar)
    outline, inner = marks[list(OUTER_LIP_RING), :2], marks[list(INNER_LIP_RING), :2]
    middle = rig.vertices[rig.triangles].mean(1)
    near = (rig.parts == Part.SKIN) & (np.abs(depth_inside(middle[:, :2], outline)) < 0.009)
    near &= middle[:, 2] > marks[list(OUTER_LIP_CORNERS), 2].mean() - 0.006
    rng = np.random.default_rng(_SEED)
    points = poisson_disk(rig.vertices, rig.triangles, np.where(near, _STEP, 0), rng=rng)
    places = points.interpolate(rig.vertices, rig.triangles)
    depth = depth_inside(places[:, :2], outline)
    seen = (
        normalized(
            points.interpolate(vertex_normals(rig.vertices, surface_triangles(rig)), rig.triangles)
        )[:, 2]
        > 0.1
    )
    points = points.select(
        (depth > 0) & (depth < _BAND) & (depth_inside(places[:, :2], inner) < -0.0004) & seen
    )
    places = points.interpolate(rig.vertices, rig.triangles)
    depth = depth_inside(places[:, :2], outline)
    lips = np.nonzero(avatar.regions == Region.LIPS)[0]
    count = min(6, len(lips))
    nearest = lips[KDTree(places_at_rest(avatar)[lips]).query(places, k=count)[1]].reshape(
        -1, count
    )
    opacity = _COVER * ramp(depth, -0.0004, 0.0005) * (1 - ramp(depth, 0.4 * _BAND, _BAND))
    return spots(
        avatar,
        rig.vertices,
        points,
        np.full(len(points), 0.85 * _STEP),
        colors[nearest].mean(1),
        opacity,
        rng.uniform(0.2, 0.5, len(points)),
    )


def _colored(title: Title, tint: Ramp) -> Callable[[Avatar], Attribute]:
    def make(avatar: Avatar) -> Attribute:
        share = _lips_share(avatar)
        light = np.log(avatar.colors @ LUMA + 0.03)
        middle = float(np.median(light[share > 0.5])) if (share > 0.5).any() else 0.0
        colors = lit(along_ramp(tint, (light - middle) / 0.62), light_of(avatar), share=0.5)
        return recolored(avatar, title, colors, _COVER * share, added=_outline(avatar, colors))

    return make


LIP_COLORS: dict[str, Callable[[Avatar], Attribute]] = {
    title.name: _colored(title, tint) for title, tint in _TINTS
}
"""By attribute name."""
