"""Colours for all points of the skin and the scalp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from offline.images import sample
from offline.lift.lids import closed_lid_shade
from offline.numeric import normalized, ramp
from offline.priors import ENOUGH
from offline.rig.anatomy import HeadCharts
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment.appearance import Appearance
from offline.texture.completion import SURE, ExpectedTone, complete_colors
from offline.texture.confidence import photo_confidence
from offline.texture.multiview import SeenColors, merged_colors
from offline.texture.skin_points import SkinPoints, skin_points
from perse_live.arrays import FloatArray
from perse_live.head.expressions import expression as expression_of
from perse_live.head.rig import expressed, surface_triangles
from perse_live.raster import vertex_normals

# Pixels (eye distance 115) from the eye's opening: skin above it, the lid's own among it, and below it. On eight closed eyes of
# film the lid has the mean tone of both within 3 L* (docs/measures.md).
_ABOVE_EYE, _BELOW_EYE = (2.0, 14.0), (5.0, 11.0)
_LID_DEVIATION = 0.12  # sRGB
# Relative to the brighter of the two: liner, lashes and deep lids darken what lies above the eye only, a socket's shade both.
# Film has lids up to 5 L* darker than the skin below them.
_LEAST_LID = 0.95
# Shares of a blink's move between which the tone of a point becomes the lid's
_LID_FROM = (0.1, 0.6)


def with_further_views(
    points: SkinPoints,
    confidence: FloatArray,
    charts: HeadCharts,
    views: Sequence[tuple[PhotoGeometry, Appearance]],
    unit: float,
) -> tuple[SkinPoints, FloatArray]:
    """The points with colours from further pictures where the portrait does not see them well, and how far they are believed."""
    others = []
    for geometry, look in views:
        there = skin_points(geometry, look, charts, points.on, unit)
        others.append(SeenColors(there.observed, photo_confidence(there, look)))
    merged = merged_colors(points.rest, SeenColors(points.observed, confidence), others)
    return replace(points, observed=merged.observed.astype(np.float32)), merged.confidence


def skin_colors(
    geometry: PhotoGeometry, points: SkinPoints, confidence: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """(N, 3) the photo's where it can be trusted, and completed from there."""
    rig, triangles = geometry.rig, geometry.rig.triangles
    # lips and lids that touch in the photo are no neighbours on the skin: neighbourhood is taken with both half open
    half_open = points.on.interpolate(
        expressed(rig, expression_of(jawOpen=0.35, eyeBlinkLeft=0.6, eyeBlinkRight=0.6)), triangles
    )
    # these are the colours of closed lids; the photo's open, folded lids are on separate sheets
    shut = expressed(rig, expression_of(eyeBlinkLeft=1.0, eyeBlinkRight=1.0))
    normals = normalized(
        points.on.interpolate(vertex_normals(shut, surface_triangles(rig)), triangles)
    )
    parts = np.stack([points.lips, points.folded.brows], 1)
    told = confidence * (1 - points.folded.inferred)
    tones = lid_tones(points, confidence)
    colors = complete_colors(
        points.observed, told, half_open, points.rest, normals, parts, expected=tones, rng=rng
    )
    share = points.folded.inferred[:, None]
    return colors * (1 - share * (1 - closed_lid_shade(points.folded.moved)))


def lid_tones(points: SkinPoints, confidence: FloatArray) -> list[ExpectedTone]:
    """What the skin above and below the open eyes tells of the closed lids, left and right.

    Neighbours alone would give a lid the tone of the shadow around the eye, which in paintings ends at the lid.
    """
    seen = (confidence > SURE) & points.front & (points.folded.brows < 0.1)
    above, below = (
        seen & (points.folded.from_eye > near) & (points.folded.from_eye < far)
        for near, far in (_ABOVE_EYE, _BELOW_EYE)
    )
    tones: list[ExpectedTone] = []
    for side in (1, -1):
        here = points.rest[:, 0] * side > 0
        holds = ramp(points.folded.moved, *_LID_FROM) * here
        upper = points.rest[:, 1] > 0
        tones.append(
            ExpectedTone(
                holds,
                points.rest[:, 0],
                (above & here & upper, below & here & ~upper),
                _LEAST_LID,
                _LID_DEVIATION,
            )
        )
    return tones


def scalp_colors(points: SkinPoints, look: Appearance) -> FloatArray:
    """(N, 3) what the scalp looks like under the hair: as the hair before it, but darker; out of sight nearly plain."""
    hair_color = sample(look.hair_color, points.pixels)
    typical = (
        np.median(look.image[look.sure_hair], 0)
        if look.sure_hair.sum() >= ENOUGH
        else hair_color.mean(0)
    )
    hidden = 0.15 * hair_color + 0.85 * typical
    return np.where(points.front[:, None], 0.5 * hair_color + 0.5 * typical, hidden) * 0.85
