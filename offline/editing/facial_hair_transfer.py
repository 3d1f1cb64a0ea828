"""Beard and eyebrows of a second photo."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from scipy.spatial import KDTree

from offline.editing.head_pair import Transplant
from offline.editing.head_warp import spread_over
from offline.editing.light_match import LUMA, darkness
from offline.editing.skin_differences import (
    Patch,
    carried,
    fine_points,
    painted,
    patch,
    plain_points,
)
from offline.images import blur, sample
from offline.looks.assembly import joined_added, surface_added
from offline.looks.changes import Title, recolored
from offline.looks.hair.facial_hair import beard_flow, beard_parts
from offline.looks.hair.grown_strands import (
    SkinField,
    StrandStyle,
    carriers,
    clear_of,
    grow,
    roots_on,
    strand_gaussians,
)
from offline.looks.measured_head import head_shape
from offline.looks.skin.under_hair import bare_skin
from offline.numeric import ramp
from offline.sampling import SurfacePoints
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.attributes import AddedGaussians, Attribute
from perse_live.errors import UserError
from perse_live.regions import Region

_BROW_STEP, _BEARD_STEP = 0.0008, 0.0017  # metres between fine spots
_BROW_SOFT = 0.006  # metres around the brows' chart
_DARKER = 0.20  # of the skin's brightness: what counts as hair
_LEAST_BROW = 0.12  # fraction of the region that must be so much darker
_COVERED = 0.18, 0.32  # the same of each part of a beard, from none of which it is taken to all
# Pixels (eye distance 115): standard deviation below which detail is strands, and side of the square around a point
_STRAND_WIDTH, _STRANDS_AROUND = 1.5, 9.0
_NOISE, _MOST_DETAIL = 0.06, 0.5  # brightness that counts as noise, and largest relative detail
_LEAST_USUAL = 2.0  # of 255: detail of the smoothest skin
_FINER = 1.7, 2.6  # detail over that of plain skin, of shade and of hair
_TOO_DARK = 0.62, 0.72  # darkness that shade reaches, and that only hair has
_STRANDS = StrandStyle(3, 0.28, 0.35, 0.35, 6, 0.0004, 0.8, 0.0024)
_STRAND_SPACING, _STRAND_RADIUS = 0.0021, 0.00034  # metres
_SEED = 17


def beard_from(both: Transplant, title: Title) -> Attribute:
    """Raises UserError where the photo shows no beard."""
    region = _near(both, both.charts["beard"], 0.003) * (both.charts["lips"] < 0.3)
    there = patch(both, both.on, region)
    front = (both.charts["beard"] > 0.6) & there.known & (both.rest[:, 2] > -0.03)
    relative = 1 - (there.donor @ LUMA) / np.maximum(there.donor_skin @ LUMA, 0.02)
    hairy = strandness(both, relative)
    hairy = hairy * _groups_with_hair(both, there, (relative > _DARKER) & (hairy > 0.5))
    if not (front & (hairy > 0.5)).any():
        raise _nothing(both, "beard")
    hair = _hair_color(there, front & (hairy > 0.5))
    dark = darkness(there.donor, there.donor_skin, hair) * region * hairy
    bare = bare_skin(both, np.zeros(len(both.on)))
    goal = carried(both, there, bare, hair, dark)
    share = region * np.maximum(dark, 0.5 * hairy * ramp(relative, 0.08, 0.20))
    vertices = _on_vertices(both, dark)
    points = fine_points(both, vertices * (both.donor.charts.beard > 0.02), _BEARD_STEP, seed=_SEED)
    spots = _fine(
        both,
        points,
        _BEARD_STEP,
        np.clip(2 * _at(both, points, both.donor.charts.beard), 0, 1),
        there,
        hair,
        bare,
        hairy,
    )
    strands = _strands(both, vertices * both.donor.charts.beard, there, hair)
    return recolored(
        both.avatar, title, _everywhere(both, goal), share, added=joined_added(spots, strands)
    )


def brows_from(both: Transplant, title: Title) -> Attribute:
    """Raises UserError where the photo shows no brows."""
    hair_of_head = sample(both.donor.look.hair, both.seen.pixels) * (both.charts["brows"] < 0.5)
    region = _near(both, both.charts["brows"], _BROW_SOFT) * (1 - ramp(hair_of_head, 0.2, 0.6))
    there = patch(both, both.on, region)
    there = replace(there, donor_skin=_skin_around(there, region))
    core = (both.charts["brows"] > 0.5) & there.known
    relative = 1 - (there.donor @ LUMA) / np.maximum(there.donor_skin @ LUMA, 0.02)
    _require(core, relative, _LEAST_BROW, both, "eyebrows")
    hair = _hair_color(there, core)
    dark = darkness(there.donor, there.donor_skin, hair) * region
    bare = bare_skin(both, ramp(region, 0.02, 0.2))
    goal = carried(both, there, bare, hair, dark)
    vertices = _on_vertices(both, region)
    points = fine_points(both, vertices, _BROW_STEP, seed=_SEED)
    spots = _fine(
        both, points, _BROW_STEP, np.clip(2 * _at(both, points, vertices), 0, 1), there, hair, bare
    )
    return recolored(both.avatar, title, _everywhere(both, goal), region, added=spots)


def _near(both: Transplant, chart: Float32Array, soft: float) -> FloatArray:
    """(S,) 1 where the chart is, falling off over `soft` metres around it; only on skin."""
    core = (chart > 0.3) & both.skin
    distance = KDTree(both.rest[core]).query(both.rest)[0]
    return ramp(distance, soft, 0.25 * soft) * both.skin


def _require(
    where: BoolArray, relative: FloatArray, least: float, both: Transplant, what: str
) -> None:
    if where.sum() < 30 or float((relative[where] > _DARKER).mean()) < least:
        raise _nothing(both, what)


def _nothing(both: Transplant, what: str) -> UserError:
    return UserError(
        f"{both.donor.photo.name}: no {what} can be seen on that face; use a sharper photo that shows it"
    )


def strandness(both: Transplant, relative: FloatArray) -> FloatArray:
    """(S,) in [0, 1] whether the donor's photo shows hair rather than shade: fine lines all over, or too dark for skin.

    relative: (S,) how much darker than plain skin under the photo's light. A shade is smooth, and its edge is one line: the
    median of the detail around tells it from strands, which are everywhere.
    """
    unit = both.donor.portrait.unit
    light = both.donor.look.image @ LUMA.astype(np.float32)
    around = blur(light, _STRAND_WIDTH * unit)
    detail = np.abs(light - around) / (around + _NOISE)
    side = 2 * round(_STRANDS_AROUND * unit / 2) + 1
    levels = np.minimum(255 * detail / _MOST_DETAIL, 255).astype(np.uint8)
    fine = cv2.medianBlur(levels, side).astype(np.float32)
    there = sample(fine, both.seen.pixels)
    plain = plain_points(both) & (both.charts["beard"] < 0.1)
    usual = max(float(np.median(there[plain])), _LEAST_USUAL) if plain.any() else _LEAST_USUAL
    seen = both.seen.confidence > 0.5
    found = np.maximum(ramp(there / usual, *_FINER), ramp(relative, *_TOO_DARK))
    return spread_over(both.rest, found[:, None], seen & both.skin, both.rest, count=4)[:, 0]


def _groups_with_hair(both: Transplant, there: Patch, hair: BoolArray) -> FloatArray:
    """(S,) 0 in those parts of the beard (upper lip, chin, cheeks) of which hair (S,) covers too little, else 1."""
    lip, chin = beard_parts(both.rest)
    inside = (both.charts["beard"] > 0.6) & there.known & (both.rest[:, 2] > -0.03)
    out = np.zeros(len(hair))
    for weight in (lip, (1 - lip) * chin, (1 - lip) * (1 - chin)):
        part = inside & (weight > 0.5)
        covered = float(hair[part].mean()) if part.sum() >= 30 else 0.0
        out += weight * float(ramp(np.array(covered), *_COVERED))
    return out


def _hair_color(there: Patch, where: BoolArray) -> FloatArray:
    """Colour (3,) of the hairs: median of the darkest fifth of the region."""
    colors = there.donor[where]
    luma = colors @ LUMA
    return np.median(colors[luma <= np.percentile(luma, 20)], 0)


def _skin_around(there: Patch, region: FloatArray) -> FloatArray:
    """The donor's skin colours (N, 3), extrapolated into the region from around it."""
    beside = (region < 0.02) & there.known & (there.donor @ LUMA > 0.75 * (there.donor_skin @ LUMA))
    near = KDTree(there.rest[region > 0.5]).query(there.rest)[0] < 0.02
    if (beside & near).sum() < 30:
        return there.donor_skin
    return spread_over(there.rest, there.donor, beside & near, there.rest, count=40)


def _on_vertices(both: Transplant, values: FloatArray) -> Float32Array:
    """Values (S,) of the avatar's Gaussians at the rig's vertices, (V,)."""
    template = both.donor.geometry.template
    known = both.skin
    distance, near = KDTree(both.rest[known]).query(template, k=3)
    return (values[known][near].mean(1) * (distance[:, 0] < 0.01)).astype(np.float32)


def _at(both: Transplant, points: SurfacePoints, chart: Float32Array) -> Float32Array:
    """A chart (V,) at points (N,)."""
    return points.interpolate(chart, both.avatar.rig.triangles)


def _fine(
    both: Transplant,
    points: SurfacePoints,
    step: float,
    region: FloatArray,
    coarse: Patch,
    hair: FloatArray,
    bare: FloatArray,
    hairy: FloatArray | None = None,
) -> AddedGaussians:
    """Fine Gaussians in the photo's colours where there is hair. region: (N,) of the points; coarse, bare, hairy: (S,) the
    avatar's.
    """
    if hairy is not None:
        region = (
            region
            * spread_over(
                both.rest,
                hairy[:, None],
                both.skin,
                both.donor.geometry.on_template(points),
                count=6,
            )[:, 0]
        )
    there = patch(both, points, np.maximum(region, 0.03))
    donor_skin, own = (
        spread_over(both.rest, values, both.skin, there.rest, count=6)
        for values in (coarse.donor_skin, bare)
    )
    there = replace(there, donor_skin=donor_skin)
    dark = darkness(there.donor, there.donor_skin, hair) * region
    colors = carried(both, there, own, hair, dark)
    drawn = dark > 0.12
    appear = np.random.default_rng(_SEED).uniform(0, 0.5, int(drawn.sum()))
    return painted(both, points.select(drawn), step, colors[drawn], 0.9 * dark[drawn], appear)


def _strands(
    both: Transplant, density: FloatArray, there: Patch, hair: FloatArray
) -> AddedGaussians:
    """Strands that stand off the skin, with the density and darkness of the photo's beard. density: (V,) in [0, 1]."""
    shape = head_shape(both.avatar)
    rng = np.random.default_rng(_SEED)
    triangles = both.avatar.rig.triangles
    on = roots_on(shape, density, _STRAND_SPACING, rng)
    roots = on.interpolate(shape.vertices, triangles).astype(np.float64)
    thick = on.interpolate(density.astype(np.float32), triangles)
    length = (0.003 + 0.006 * thick) * rng.uniform(0.6, 1.15, len(roots))
    field = SkinField(shape)
    lines = grow(field, roots, length, beard_flow, _STRANDS, rng)
    red = field.lips(lines.reshape(-1, 3)).reshape(lines.shape[:2]) > 0.2
    lines, left = clear_of(lines, red, least=0.5)
    lines, on = lines[left], on.select(left)
    rest = on.interpolate(shape.template, triangles)
    tone = np.minimum(
        spread_over(both.rest, there.donor, both.skin, rest, count=6), 1.3 * hair + 0.06
    )
    tone = both.light.things(tone) * (1 + 0.15 * rng.standard_normal((len(rest), 1)))
    gaussians = strand_gaussians(lines, _STRAND_RADIUS, 0.85 * tone, 1.1 * tone, opacity=0.7)
    steps = _STRANDS.steps
    return surface_added(
        both.avatar,
        gaussians,
        np.repeat(carriers(shape, lines, density > 0.01), steps),
        np.repeat(lines[:, 0], steps, 0),
        appear=np.repeat(rng.uniform(0, 0.5, len(rest)), steps),
        least_size=0.4,
        region=Region.HAIR,
    )


def _everywhere(both: Transplant, values: FloatArray) -> FloatArray:
    """Values (S, 3) with zeros for the avatar's rigid Gaussians, (G, 3)."""
    return np.concatenate([values, np.zeros((len(both.avatar) - len(values), 3))])
