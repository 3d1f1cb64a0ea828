"""Skin of the whole head: Gaussians spread evenly over the rig, coloured by the photo where it shows them, else by inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import cg
from scipy.spatial import KDTree

from offline.gaussian_layer import COVERAGE, Layer, surface_layer
from offline.images import blur, dilate, distance_to, fill_from, nearest_true, sample
from offline.lift.lids import LidPoints, blink_moves, closed_lid_colors, shaped_for
from offline.numeric import facing_of, ramp
from offline.rig.anatomy import HeadCharts
from offline.rig.photo_geometry import PhotoGeometry
from offline.rig.skinning import STAYS, head_weights
from offline.sampling import SurfacePoints, poisson_disk
from offline.texture.mirror import beyond_seam, lent_share, mirrored_view
from offline.texture.multiview import SeenColors, in_the_light_of, merged_colors
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.head.expressions import expression as expression_of
from perse_live.head.expressions import indices
from perse_live.head.fit import FrameFit
from perse_live.head.rig import Part, expressed
from perse_live.regions import Region

_LEAST_KNOWN = 12  # points with a trusted colour; unknown ones start from as many nearest
_Indices = NDArray[np.integer]

_UNDER, _UNDER_LIGHT, _BLENDED = 0.002, 0.96, 6  # of the second skin: metres below, brightness, Gaussians whose colours it mixes
_EAR_THIN = 0.7  # how much less that is within an ear
_CURTAIN = 14.0  # pixels (eye distance 115) from hair within which skin that is turned away lies behind it
_MOST_ASKED = 60  # neighbours that say whether a point of the crown grows hair
_WELL_INSIDE = 7.0  # pixels (eye distance 115) from the hair's edge
_HAIR_LOWEST = 0.0  # metres on the mean head: on the cheeks below it locks may swing aside
_WELL_SEEN, _BESIDE, _FAR = 0.7, 24, 0.04  # confidence of skin that others are compared with, so many points, within metres
_OTHER = (0.15, 0.28)  # difference of sRGB colours from which one is another's, and surely is
_EYES_ABOVE = -0.025  # metres on the mean head: openings above it are the eyes
_OUTSIDE, _PULLED_IN = 2.0, 8.0  # pixels that skin may reach beyond the person; eye distance 115: from how far it is pulled in
_HEAD_LOWEST = -0.11  # metres on the mean head: below is neck, which ends in its collar
_SIDEBURN = -0.025  # metres on the mean head: lowest that hair before an ear goes on unseen
_LAST_SEEN, _ALONG = (0.05, 0.45), 0.2  # cosines to the camera at the outline; weight of depth against height beside it
_HAIRLINE = 24  # neighbours over which a hairline out of sight passes from hair to skin
_HOLLOW, _HOLLOW_DEPTH = 30, (0.0004, 0.0025)  # neighbours that surround a hollow; metres by which they rise over it
_HOLLOW_DARK = np.array([0.35, 0.45, 0.48])  # of red, green and blue, how much is lost there
_PARTED_HELD = 0.1  # how far refinement is kept from lips that the photo shows parted
_STRETCHED = 1.2  # how much wider than elsewhere Gaussians on the lips are: an opening mouth would tear pinholes between them
_SEAM = 0.4  # how much darker lips are where they meet

@dataclass(frozen=True)
class Appearance:
    """The portrait's pixels, ready to be lifted."""

    image: Float32Array
    """(H, W, 3) foreground colour in [0, 1]; at soft edges freed of the background."""
    matte: Float32Array
    """(H, W) the person's matte."""
    alpha: Float32Array
    """(H, W) the same, softened where the photo cuts the person off."""
    skin: Float32Array
    """(H, W) probability of skin."""
    purity: Float32Array
    """(H, W) in [0, 1]: 0 where a pixel mixes skin with hair, clothes or background beside it."""
    hair: Float32Array
    """(H, W) probability of hair."""
    clothes: Float32Array
    """(H, W) probability of clothes."""
    hair_color: Float32Array
    """(H, W, 3) hair colour spread over the whole picture."""
    openings: BoolArray
    """(H, W) where eyeballs or the inside of the mouth show."""
    valid: BoolArray
    """(H, W) inside the photo."""
    lip_edges: Float32Array | None = None
    """(H, W) in [0, 1]: where lips beside an open mouth keep their colour whatever the photo shows; None: nowhere."""


@dataclass(frozen=True)
class SkinDensity:
    """Spacing of skin Gaussians, in pixels of the portrait (512 px, head about half of it)."""

    face: float = 1.7
    """Where expressions live: about 12,000 Gaussians."""
    lips_and_lids: float = 1.15
    """Fine structures that stretch."""
    ears_and_neck: float = 3.2
    """Seen often, but plain."""
    scalp: float = 7.0
    """Where hair grows and the photo does not show it."""
    under_hair: float = 4.5
    """Well inside the hair that the photo shows."""


@dataclass(frozen=True)
class _Points:
    """N points on the rig, and what the photo says of each."""

    on: SurfacePoints
    means: Float32Array  # (N, 3) metres, camera frame
    normals: FloatArray  # (N, 3) unit
    rest: Float32Array  # (N, 3) on the mean head
    lips: Float32Array  # (N,) charts ...
    lids: Float32Array
    ears: Float32Array
    scalp: Float32Array
    pixels: FloatArray  # (N, 2) moved into the picture
    inside: BoolArray  # (N,) seen within the picture
    facing: FloatArray  # (N,) cosine to the camera
    front: BoolArray  # (N,) seen by the camera
    observed: Float32Array  # (N, 3) the photo's colour
    hair: Float32Array  # (N,) probability
    from_opening: Float32Array  # (N,) pixels to eyes or mouth
    folded: LidPoints


def skin_layer(
    geometry: PhotoGeometry,
    look: Appearance,
    charts: HeadCharts,
    dressed: BoolArray,  # (H, W) clothes in front of the skin
    collar: BoolArray,  # (H, W) where the unseen side of the neck is under clothes
    frame: FrameFit,  # of the photo
    *,
    bald: bool,  # leave the scalp skin-coloured
    unit: float,  # pixels, eye distance / 115
    views: Sequence[tuple[PhotoGeometry, Appearance]] = (),  # further pictures of the same person
    density: SkinDensity = SkinDensity(),
    rng: np.random.Generator,
) -> Layer:
    """Gaussians on skin and scalp."""
    under_hair = distance_to((look.hair < 0.5) | (look.alpha < 0.9)) > _WELL_INSIDE * unit
    spread = _spread(geometry, charts, frame.expression, frame.gaze, under_hair, density, rng)
    points = _points(geometry, look, charts, spread, unit)
    confidence = _confidence(points, look) * _undressed(dressed, points.pixels)
    held = np.zeros(len(points.on), np.float32) if look.lip_edges is None else sample(look.lip_edges, points.pixels)
    confidence = confidence * (1 - held * (1 - ramp(points.lips, 0.05, 0.3)))  # what lies around the mouth's corners
    hairy = np.zeros(len(points.on), np.bool_) if bald else _scalp(points, look, geometry.yaw)
    hidden = np.zeros_like(hairy) if bald else _behind_hair(points, look, unit) | _round_the_side(points)
    scalp = hairy | (hidden & (confidence < 0.5))
    confidence = np.where(scalp, 0, confidence)
    seen, confidence, lent = _lent(geometry, look, charts, points, confidence, dressed, unit)
    looked_up, believed = _looked_up(seen, confidence, charts, views, unit) if views else (seen, confidence)
    believed = np.where(scalp, 0, believed)
    hairiness = _soft_edged(points, scalp)[:, None]
    colors = hairiness * _hair_colors(points, look) + (1 - hairiness) * _skin_colors(geometry, looked_up, believed, rng)
    colors = colors * ear_relief(points.means, points.normals, points.ears * ~scalp * (1 - believed))
    # the neck's hidden side under a collar would pierce it when the head turns: it is dressed itself
    collared = _collared(points, collar) & (believed < 0.3)
    colors = np.where(collared[:, None], sample(fill_from(look.image, dressed & (look.alpha > 0.9)), points.pixels), colors)
    # the photo does not tell of what is not its own; and its shadow above an open eye would come back onto the closing lid
    own = (1 - ramp(lent, 0.0, 0.3)) * points.folded.free
    freedom = np.clip(confidence, 0, 1) * (points.lids < 0.05) * ~(scalp | collared) * own
    # what a pixel mixes into the skin is left to hair and clothes before it, or it would show on the cheek when the head turns
    color_freedom = points.front * ramp(points.facing, 0.2, 0.45) * ramp(sample(look.purity, points.pixels), 0.2, 0.9) * own
    if look.lip_edges is not None:  # teeth and shadow would be painted on them; closed, they meet in a shadow of their own
        inner = points.on.interpolate(charts.lip_inner, geometry.rig.triangles)
        colors = colors * (1 - _SEAM * held * inner)[:, None]
        # and an open mouth's lips are stretched and shaded as closed ones are not
        lips = ramp(points.lips, 0.02, 0.2)
        color_freedom = color_freedom * (1 - held) * (1 - _PARTED_HELD * lips)
        freedom = freedom * (1 - _PARTED_HELD * lips)
    wide = COVERAGE * (1.06 + (_STRETCHED - 1.06) * ramp(points.lips, 0.02, 0.3))
    layer = surface_layer(points.means, points.normals, points.on.spacing * wide, colors, Region.SKIN,
                          triangles=points.on.triangle, freedom=freedom, color_freedom=color_freedom, least_opacity=0.8)
    shut = expressed(geometry.rig, _with_eyes_shut(frame.expression), gaze=frame.gaze)
    closed = shut @ geometry.R_cam_head.T + geometry.t_cam_head
    layer = shaped_for(layer, points.folded.moved > 0.02, closed, geometry)
    layer.regions[:] = np.where(points.lips > 0.5, int(Region.LIPS), int(Region.SKIN))
    layer.regions[scalp] = int(Region.SCALP)
    layer.regions[collared] = int(Region.CLOTHES)
    return _within_outline(layer, geometry, points, look, dressed, unit)


def _within_outline(layer: Layer, geometry: PhotoGeometry, points: _Points, look: Appearance, dressed: BoolArray,
                    unit: float) -> Layer:
    """The layer brought within the person where the rig is wider: it would draw skin over background or shirt.

    What reaches out a little is pulled in; left out, it would be missing in the cheek's side when the head turns. Skin under a
    shirt goes on. unit: pixels, eye distance / 115.
    """
    on_person = (look.alpha > 0.5) | ~look.valid
    bare = on_person & ~(dressed & look.valid)
    if not bare.any():
        return layer
    head = points.inside & (points.rest[:, 1] > _HEAD_LOWEST)
    pixels = points.pixels.copy()
    for inside, told in ((on_person, head), (bare, head & points.front)):
        pixels[told] = pulled_in(pixels[told], inside, _OUTSIDE, _PULLED_IN * unit)
    means = layer.gaussians.means.copy()
    means[:, :2] += (pixels - points.pixels) * means[:, 2:] / geometry.camera.fx
    off = sample(distance_to(on_person), pixels) > _OUTSIDE + 0.5
    on_shirt = points.front & (sample(distance_to(bare), pixels) > _OUTSIDE + 0.5)
    return replace(layer, gaussians=replace(layer.gaussians, means=means)).select(~(points.inside & (off | on_shirt)))


def pulled_in(pixels: FloatArray, inside: BoolArray, outside: float, reach: float) -> FloatArray:
    """Pixels (N, 2) moved so that they lie no more than `outside` pixels off a mask (H, W); beyond `reach` pixels they stay."""
    distance, rows, columns = nearest_true(inside)
    x, y = pixels.astype(int).T
    away = distance[y, x]
    border = np.stack([columns[y, x], rows[y, x]], 1) + 0.5
    share = np.clip(1 - outside / np.maximum(away, 1e-6), 0, 1) * (away <= reach)
    return pixels + share[:, None] * (border - pixels)


def under_skin(geometry: PhotoGeometry, charts: HeadCharts, skin: Layer, rng: np.random.Generator) -> Layer:
    """A coarse second skin of face and neck beneath the first, in its colours.

    Where the first is stretched or seen from near, pinholes open between its Gaussians; through them would shine what lies
    behind, be it tongue, hair or nothing.
    """
    rig, rest, pixel = geometry.rig, geometry.triangle_template(), 1 / geometry.pixels_per_metre
    thin = np.maximum(charts.lips, charts.eyelids)[rig.triangles].max(1) > 0.02
    below = (rig.parts == Part.SKIN) & ~thin & (rest[:, 2] > -0.09) & (rest[:, 1] < 0.085)
    near = (rest[:, 2] > -0.045) & (rest[:, 1] > -0.125)
    points = poisson_disk(geometry.vertices, rig.triangles, np.where(below, np.where(near, 5.0, 6.5) * pixel, 0), rng=rng)
    means, normals = geometry.on_rig(points)
    bare = skin.select(skin.regions != Region.CLOTHES)  # under a dressed neck, too, lies skin
    colors = bare.gaussians.colors[KDTree(bare.gaussians.means).query(means, k=_BLENDED)[1]].mean(1)
    depth = _UNDER * (1 - _EAR_THIN * points.interpolate(charts.ears, rig.triangles))[:, None]
    return surface_layer(means - depth * normals, normals, points.spacing * COVERAGE, _UNDER_LIGHT * colors, Region.SKIN,
                         triangles=points.triangle, freedom=0.0, color_freedom=0.0, least_opacity=0.95)


def _points(geometry: PhotoGeometry, look: Appearance, charts: HeadCharts, on: SurfacePoints, unit: float) -> _Points:
    """unit: pixels, eye distance / 115."""
    means, normals = geometry.on_rig(on)
    rest = geometry.on_template(on)
    size = np.array([geometry.camera.width, geometry.camera.height])
    projected = geometry.camera.project(means)
    inside = np.asarray(((projected > 1) & (projected < size - 1)).all(1), np.bool_)
    pixels = np.clip(projected, 1, size - 1.01)
    facing = facing_of(means, normals)
    lips, lids, ears, scalp, brows, moved = (
        on.interpolate(chart, geometry.rig.triangles)
        for chart in (charts.lips, charts.eyelids, charts.ears, charts.scalp, charts.brows, blink_moves(geometry.rig)))
    shut = expressed(geometry.rig, expression_of(eyeBlinkLeft=1.0, eyeBlinkRight=1.0))
    from_opening = sample(distance_to(look.openings), pixels)
    from_eye = np.where(rest[:, 1] > _EYES_ABOVE, from_opening / unit, np.inf)
    folded = LidPoints(rest, on.interpolate(shut, geometry.rig.triangles), moved, from_eye, brows)
    return _Points(on, means, normals, rest, lips, lids, ears, scalp, pixels, inside, facing,
                   front=_visible(geometry, means, rest, pixels) & inside & (facing > 0.05), observed=sample(look.image, pixels),
                   hair=sample(look.hair, pixels), from_opening=from_opening, folded=folded)


def _confidence(points: _Points, look: Appearance) -> FloatArray:
    """How far the photo's colour is the point's own, (N,) in [0, 1]."""
    pixels = points.pixels
    seen = points.front * ramp(points.facing, 0.2, 0.5) * ramp(sample(look.alpha, pixels), 0.8, 0.98)
    confidence = seen * sample(look.skin * look.purity, pixels) * (sample(blur(look.openings, 0.7), pixels) < 0.25)
    confidence = confidence * (sample(look.valid, pixels) > 0.99)
    confidence = confidence * _without_lashes(points, confidence)
    confidence = confidence * _without_outliers(points.observed, confidence, np.abs(points.rest[:, 0]))
    return confidence * _like_beside(points, confidence)


def _like_beside(points: _Points, confidence: FloatArray) -> FloatArray:
    """How far half-trusted points (N,) look like the well seen skin beside them; 1 for the rest.

    At an outline pixels mix skin with what stands behind it, and even a little trust would spread that over the cheek. A beard or
    a shadow that goes on around the jaw is beside them too.
    """
    sure, doubtful = confidence > _WELL_SEEN, (confidence > 0) & (confidence <= _WELL_SEEN)
    like = np.ones(len(confidence))
    if sure.sum() < _BESIDE or not doubtful.any():
        return like
    distance, near = KDTree(points.rest[sure]).query(points.rest[doubtful], k=_BESIDE)
    beside = np.median(points.observed[sure][near], axis=1)
    other = ramp(np.linalg.norm(points.observed[doubtful] - beside, axis=1), *_OTHER) * (distance[:, -1] < _FAR)
    like[doubtful] = 1 - other * (np.maximum(points.lips, points.lids)[doubtful] < 0.1)
    return like


def _lent(geometry: PhotoGeometry, look: Appearance, charts: HeadCharts, points: _Points, confidence: FloatArray,
          dressed: BoolArray, unit: float) -> tuple[_Points, FloatArray, FloatArray]:
    """The points with the colours of twins that a photo from aside sees much better; their confidence; how far lent, (N,)."""
    mirrored, none = mirrored_view(geometry), np.zeros(len(confidence))
    if mirrored is None:
        return points, confidence, none
    there = _points(mirrored, look, charts, points.on, unit)
    known = _confidence(there, look) * _undressed(dressed, there.pixels)
    matched = in_the_light_of(points.rest, SeenColors(points.observed, confidence), SeenColors(there.observed, known))
    if matched is None:
        return points, confidence, none
    inside = sample(distance_to((look.matte < 0.5) & look.valid), points.pixels) / unit
    share = lent_share(beyond_seam(points.rest, geometry.yaw), points.facing, inside, there.facing)
    total = confidence * (1 - share) + known * share  # where the twin is not seen either, it is inferred
    mixed = (known * share / np.maximum(total, 1e-6))[:, None]
    observed = points.observed + mixed * (matched.observed - points.observed)
    return replace(points, observed=observed.astype(np.float32)), total, share


def _undressed(dressed: BoolArray, pixels: FloatArray) -> FloatArray:
    """1 at pixels (N, 2) off the clothes (H, W), 0 on them."""
    return 1 - sample(blur(dilate(dressed, 1.0), 1.0), pixels)


def _looked_up(points: _Points, confidence: FloatArray, charts: HeadCharts,
               views: Sequence[tuple[PhotoGeometry, Appearance]], unit: float) -> tuple[_Points, FloatArray]:
    """The points with colours from further pictures where the portrait does not see them well, and how far they are believed."""
    others = []
    for geometry, look in views:
        there = _points(geometry, look, charts, points.on, unit)
        others.append(SeenColors(there.observed, _confidence(there, look)))
    merged = merged_colors(points.rest, SeenColors(points.observed, confidence), others)
    return replace(points, observed=merged.observed.astype(np.float32)), merged.confidence


def _skin_colors(geometry: PhotoGeometry, points: _Points, confidence: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(N, 3) the photo's where it can be trusted, and inferred from there."""
    rig = geometry.rig
    # lips and lids that touch in the photo are no neighbours on the skin: neighbourhood is taken with both half open
    half_open = expressed(rig, expression_of(jawOpen=0.35, eyeBlinkLeft=0.4, eyeBlinkRight=0.4))
    positions = points.on.interpolate(half_open, rig.triangles)
    confidence = confidence * (1 - points.folded.inferred)  # what the photo shows there is on the lids' veil
    colors = infer_colors(points.observed, confidence, positions, points.rest, points.lips, rng=rng)
    for side in (points.rest[:, 0] > 0, points.rest[:, 0] < 0):
        lid = (points.folded.moved > 0.5) & side
        if lid.any():
            colors = closed_lid_colors(colors, confidence, points.folded, points.rest[lid].mean(0))
    return colors


def _hair_colors(points: _Points, look: Appearance) -> FloatArray:
    """(N, 3) what the scalp looks like under the hair: as the hair before it, but darker; out of sight nearly plain."""
    hair_color = sample(look.hair_color, points.pixels)
    typical = np.median(look.image[look.hair > 0.7], 0) if (look.hair > 0.7).sum() > 100 else hair_color.mean(0)
    hidden = 0.15 * hair_color + 0.85 * typical
    return np.where(points.front[:, None], 0.5 * hair_color + 0.5 * typical, hidden) * 0.85


def _spread(geometry: PhotoGeometry, charts: HeadCharts, source_expression: FloatArray, gaze: FloatArray, under_hair: BoolArray,
            density: SkinDensity, rng: np.random.Generator) -> SurfacePoints:
    """Points on the skin. under_hair: (H, W) where the photo shows nothing of it."""
    rig = geometry.rig
    # lids are spread where they are widest, closed; everything else as it is in the photo
    vertices = expressed(rig, _with_eyes_shut(source_expression), gaze=gaze)
    rest = geometry.triangle_template()
    chart = {name: getattr(charts, name)[rig.triangles].mean(1) for name in ("lips", "ears", "eyelids", "scalp")}
    pixel = 1 / geometry.pixels_per_metre
    spacing = np.full(len(rig.triangles), density.scalp * pixel)
    spacing[rest[:, 2] > -0.12] = density.ears_and_neck * pixel
    spacing[(chart["scalp"] > 0.7) & (chart["ears"] < 0.1)] = density.scalp * pixel
    face = (rest[:, 2] > -0.045) & (rest[:, 1] < 0.085) & (rest[:, 1] > -0.125)
    spacing[face] = density.face * pixel
    fine = (chart["lips"] > 0.3) | (chart["eyelids"] > 0.2)
    spacing[fine & face] = density.lips_and_lids * pixel
    hidden = np.zeros(len(spacing), np.bool_)
    hidden[np.unique(geometry.triangle_rows[geometry.seen.triangle_ids[under_hair & geometry.seen.covered]])] = True
    hidden &= rest[:, 1] > _HAIR_LOWEST
    spacing[hidden] = np.maximum(spacing[hidden], density.under_hair * pixel)
    spacing[rig.parts != Part.SKIN] = 0
    return poisson_disk(vertices, rig.triangles, spacing, rng=rng)


def _with_eyes_shut(expression: FloatArray) -> Float32Array:
    """An expression (52,) with both eyes shut."""
    shut = np.array(expression, np.float32)
    shut[list(indices(["eyeBlinkLeft", "eyeBlinkRight"]))] = 1.0
    return shut


def _without_lashes(points: _Points, confidence: FloatArray) -> FloatArray:
    """Lower the trust in dark pixels on the lids, (N,) in [0, 1]: a closing lid would draw lashes and liner out.

    The lids' very edge keeps them.
    """
    sure = (confidence > 0.5) & (points.lids < 0.1)
    if not sure.any():
        return np.ones(len(confidence))
    relative = points.observed.mean(1) / max(float(np.median(points.observed[sure].mean(1))), 1e-3)
    bright = np.clip((relative - 0.55) / 0.25, 0.03, 1)
    return np.where((points.lids > 0.15) & (points.from_opening > 1.6), bright, 1.0)


def _without_outliers(observed: FloatArray, confidence: FloatArray, aside: FloatArray) -> FloatArray:
    """Lower the trust in dark or oddly coloured points on the sides of the head, (N,): hair and shadow would spread."""
    sure = confidence > 0.5
    if not sure.any():
        return np.ones(len(observed))
    typical = np.median(observed[sure], 0)
    relative = observed.mean(1) / max(float(typical.mean()), 1e-3)
    hue = observed / np.maximum(observed.sum(1, keepdims=True), 1e-3) - typical / max(float(typical.sum()), 1e-3)
    usual = np.clip((relative - 0.3) / 0.2, 0.03, 1) * np.exp(-((np.abs(hue).max(1) / 0.05) ** 2))
    return np.where(aside > 0.052, usual, 1.0)


def _visible(geometry: PhotoGeometry, means: FloatArray, rest: FloatArray, pixels: FloatArray) -> BoolArray:
    """Whether the photo's camera sees the points (N,): same depth, and same place of the surface (lips lie close together)."""
    x, y = pixels[:, 0].astype(int), pixels[:, 1].astype(int)
    near = means[:, 2] < geometry.seen.depth[y, x] + 0.006
    place = geometry.template_map()[y, x]
    with np.errstate(invalid="ignore"):
        same = np.linalg.norm(place - rest, axis=1) < 0.006
    return near & (same | ~np.isfinite(place[:, 0]))


def _scalp(points: _Points, look: Appearance, yaw: float) -> BoolArray:
    """Which points (N,) grow hair: as the photo shows well, mirrored where it shows only one side, else by the chart."""
    rest, hairy = points.rest, points.hair > 0.5
    seen = points.front & points.inside & (points.facing > 0.3) & (sample(look.alpha, points.pixels) > 0.9)
    seen &= beyond_seam(rest, yaw) < 0
    # a shine on the crown is no bald spot
    beside = KDTree(rest).query(rest, k=min(_MOST_ASKED, len(rest)))[1]
    hairy |= (points.scalp > 0.9) & (hairy[beside].mean(1) > 0.5)
    result = np.where(seen, hairy, points.scalp > 0.5)
    if seen.any():
        distance, nearest = KDTree(rest[seen]).query(rest * np.array([-1, 1, 1]))
        mirrored = ~seen & (distance < 0.006) & (rest[:, 2] > -0.095)
        result = np.where(mirrored, hairy[seen][nearest], result)
    return result & (points.scalp > 0.02) | (seen & hairy & (rest[:, 1] > 0.02))


def _collared(points: _Points, collar: BoolArray) -> BoolArray:
    """Points (N,) of the neck that the photo does not show and that lie under a `collar` (H, W)."""
    neck = (points.rest[:, 1] < -0.07) & (np.abs(points.rest[:, 0]) > 0.03) & (points.rest[:, 2] < -0.05) & (points.ears < 0.1)
    neck &= points.normals[:, 1] < 0.4  # not under the jaw
    neck &= head_weights(points.rest) < STAYS
    return neck & ~points.front & (points.facing < 0.2) & (sample(collar, points.pixels) > 0.5)


def _behind_hair(points: _Points, look: Appearance, unit: float) -> BoolArray:
    """Points (N,) around an ear that the photo's hair covers: seen from the side, they must look like hair.

    So must what of cheek and jaw is turned away beside a curtain of hair. unit: pixels, eye distance / 115.
    """
    rest = points.rest
    covered = np.zeros(len(rest), np.bool_)
    curtain = sample(distance_to((look.hair > 0.5) & (look.alpha > 0.5)), points.pixels) < _CURTAIN * unit
    curtain &= (points.facing < 0.02) & (rest[:, 2] < 0.0) & (rest[:, 1] > -0.11) & (np.abs(rest[:, 0]) > 0.03)
    for side in (-1.0, 1.0):
        ear = (points.ears > 0.3) & (rest[:, 0] * side > 0) & points.inside
        if ear.sum() > 10 and (points.hair[ear] > 0.5).mean() > 0.6:
            lowest = np.percentile(rest[ear & (points.hair > 0.5), 1], 10)  # where this hair ends
            covered |= (rest[:, 0] * side > 0.03) & (rest[:, 2] < -0.04) & (rest[:, 1] > max(lowest, -0.09))
            covered |= curtain & (rest[:, 0] * side > 0)
    return covered


def _round_the_side(points: _Points) -> BoolArray:
    """Points (N,) between the photo's outline of the head and the ear, where at their height hair is last seen.

    A temple's hair goes on to the ear; skin behind it would look torn out.
    """
    rest, covered = points.rest, np.zeros(len(points.rest), np.bool_)
    aside = (points.ears < 0.3) & (np.abs(rest[:, 0]) > 0.04) & (rest[:, 2] < 0.0) & (rest[:, 1] > _SIDEBURN)
    for side in (-1.0, 1.0):
        here = aside & (rest[:, 0] * side > 0)
        seen = here & points.front & (points.facing > _LAST_SEEN[0]) & (points.facing < _LAST_SEEN[1])
        unseen = np.nonzero(here & ~(points.front & (points.facing > _LAST_SEEN[1])))[0]
        if seen.sum() < _LEAST_KNOWN or not len(unseen):
            continue
        height = [0.0, 1.0, _ALONG]
        _, found = KDTree(rest[seen] * height).query(rest[unseen] * height, k=_LEAST_KNOWN)
        covered[unseen] = (points.hair[seen][np.asarray(found)] > 0.5).mean(1) > 0.5
    return covered


def ear_relief(
    means: FloatArray,  # (N, 3) metres
    normals: FloatArray,  # (N, 3) unit
    invented: FloatArray,  # (N,) in [0, 1]: on an ear, and of no colour that a photo shows
) -> FloatArray:
    """What to multiply colours by so that the hollows of an ear lie in its own shadow, (N, 3); plain, it would look cut out."""
    ear = np.nonzero(invented > 0.1)[0]
    shade = np.ones((len(means), 3))
    if len(ear) < _HOLLOW:
        return shade
    _, beside = KDTree(means[ear]).query(means[ear], k=_HOLLOW)
    above = ((means[ear][np.asarray(beside)] - means[ear][:, None]) * normals[ear][:, None]).sum(2)
    hollow = ramp(np.clip(above, 0, None).mean(1), *_HOLLOW_DEPTH) * invented[ear]
    shade[ear] -= hollow[:, None] * _HOLLOW_DARK
    return shade


def _soft_edged(points: _Points, scalp: BoolArray) -> FloatArray:
    """How far points (N,) look like hair: out of the photo's sight a hairline is soft, elsewhere hair of its own lies over it."""
    _, beside = KDTree(points.rest).query(points.rest, k=min(_HAIRLINE, len(points.rest)))
    unseen = ~points.front | (points.facing < _LAST_SEEN[1])
    return np.where(unseen, scalp[np.asarray(beside)].mean(1), scalp)


def infer_colors(
    observed: FloatArray,  # (N, 3)
    confidence: FloatArray,  # (N,) in [0, 1]
    positions: FloatArray,  # (N, 3) neighbours here are neighbours on the skin
    rest: FloatArray,  # (N, 3) template positions, for mirroring
    lips: FloatArray,  # (N,) in [0, 1]
    *,
    rng: np.random.Generator,
) -> Float32Array:
    """Colours for all points from those of the points that the photo shows.

    Unknown points take the mirrored point's detail and fit it to their surroundings (Poisson cloning, Perez et al., SIGGRAPH
    2003, on the graph of nearest neighbours); where the mirrored point is unknown too, colours spread smoothly and get the
    skin's own grain.
    Returns (N, 3) in [0, 1].
    """
    sure = confidence > 0.3
    if confidence.sum() < 10 or sure.sum() < _LEAST_KNOWN:
        return np.tile(np.array([0.75, 0.58, 0.5], np.float32), (len(observed), 1))
    _, twin = KDTree(rest).query(rest * np.array([-1, 1, 1]))
    source = np.where(sure, np.arange(len(observed)), np.where(sure[twin], twin, -1))
    neighbours = np.asarray(KDTree(positions).query(positions, k=9)[1])
    _, nearest = KDTree(positions[sure]).query(positions, k=_LEAST_KNOWN)
    start = np.where(sure[:, None], observed, observed[sure][nearest].mean(1))
    solved = _cloned(observed, confidence, source, neighbours, lips, start)
    colors = confidence[:, None] * observed + (1 - confidence[:, None]) * solved
    known = confidence > 0.6
    if known.sum() > 200:
        smooth = colors[neighbours].mean(1)
        grain = np.clip((colors - smooth)[known].mean(1), -0.04, 0.04).std()
        invented = source < 0
        colors[invented] += rng.normal(0, 0.8 * grain, (int(invented.sum()), 1))
    return np.clip(colors, 0, 1).astype(np.float32)


def _cloned(
    observed: FloatArray,  # (N, 3)
    confidence: FloatArray,  # (N,)
    source: _Indices,  # (N,) the point whose detail each takes, -1: of none
    neighbours: _Indices,  # (N, 9) each point first, then its 8 nearest
    lips: FloatArray,  # (N,)
    start: FloatArray,  # (N, 3)
) -> FloatArray:
    """Colours (N, 3) close to the observed ones where those are sure, and whose differences are the sources' everywhere."""
    count = len(observed)
    rows, columns = np.repeat(np.arange(count), 8), neighbours[:, 1:].reshape(-1)
    weight = np.exp(-6 * np.abs(lips[rows] - lips[columns])).astype(np.float64)
    both = (source[rows] >= 0) & (source[columns] >= 0)
    guide = np.where(both[:, None], observed[source[rows]] - observed[source[columns]], 0.0)
    # a jump between a point and a mirrored neighbour is the light, not the skin
    guide = np.clip(guide, -0.05, 0.05)
    guide[(confidence[rows] > 0.3) != (confidence[columns] > 0.3)] = 0
    number = np.arange(len(rows))
    difference = sp.csr_matrix((np.r_[weight, -weight], (np.r_[number, number], np.r_[rows, columns])), shape=(len(rows), count))
    data = sp.diags(60.0 * confidence.astype(np.float64))
    system = (data + difference.T @ difference + sp.identity(count) * 1e-6).tocsr()
    right = data @ observed + difference.T @ (guide * weight[:, None])
    preconditioner = sp.diags(1 / system.diagonal())
    return np.stack([cg(system, right[:, k], x0=start[:, k], rtol=2e-3, maxiter=120, M=preconditioner)[0] for k in range(3)], 1)
