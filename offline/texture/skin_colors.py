"""Colours for all points of the skin: observed, mirrored, from further views, and inferred for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import cg
from scipy.spatial import KDTree

from offline.images import distance_to, sample
from offline.lift.lids import closed_lid_colors
from offline.numeric import ramp
from offline.rig.anatomy import HeadCharts
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment.appearance import Appearance
from offline.texture.confidence import photo_confidence, uncovered
from offline.texture.mirror import beyond_seam, lent_share, mirrored_view
from offline.texture.multiview import SeenColors, in_the_light_of, merged_colors
from offline.texture.skin_points import SkinPoints, skin_points
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.head.expressions import expression as expression_of
from perse_live.head.rig import expressed

_LEAST_KNOWN = 12  # points with a trusted colour; unknown ones start from as many nearest
_Indices = NDArray[np.integer]
_HOLLOW, _HOLLOW_DEPTH = 30, (0.0004, 0.0025)  # neighbours that surround a hollow; metres by which they rise over it
_HOLLOW_DARK = np.array([0.35, 0.45, 0.48])  # of red, green and blue, how much is lost there


def with_mirrored_colors(geometry: PhotoGeometry, look: Appearance, charts: HeadCharts, points: SkinPoints,
                         confidence: FloatArray, dressed: BoolArray, unit: float) -> tuple[SkinPoints, FloatArray, FloatArray]:
    """The points with the colours of twins that a photo from aside sees much better; their confidence; how far lent, (N,)."""
    mirrored, none = mirrored_view(geometry), np.zeros(len(confidence))
    if mirrored is None:
        return points, confidence, none
    there = skin_points(mirrored, look, charts, points.on, unit)
    known = photo_confidence(there, look) * uncovered(dressed, there.pixels)
    matched = in_the_light_of(points.rest, SeenColors(points.observed, confidence), SeenColors(there.observed, known))
    if matched is None:
        return points, confidence, none
    inside = sample(distance_to((look.matte < 0.5) & look.valid), points.pixels) / unit
    share = lent_share(beyond_seam(points.rest, geometry.yaw), points.facing, inside, there.facing)
    total = confidence * (1 - share) + known * share  # where the twin is not seen either, it is inferred
    mixed = (known * share / np.maximum(total, 1e-6))[:, None]
    observed = points.observed + mixed * (matched.observed - points.observed)
    return replace(points, observed=observed.astype(np.float32)), total, share


def with_further_views(points: SkinPoints, confidence: FloatArray, charts: HeadCharts,
               views: Sequence[tuple[PhotoGeometry, Appearance]], unit: float) -> tuple[SkinPoints, FloatArray]:
    """The points with colours from further pictures where the portrait does not see them well, and how far they are believed."""
    others = []
    for geometry, look in views:
        there = skin_points(geometry, look, charts, points.on, unit)
        others.append(SeenColors(there.observed, photo_confidence(there, look)))
    merged = merged_colors(points.rest, SeenColors(points.observed, confidence), others)
    return replace(points, observed=merged.observed.astype(np.float32)), merged.confidence


def skin_colors(geometry: PhotoGeometry, points: SkinPoints, confidence: FloatArray, rng: np.random.Generator) -> FloatArray:
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


def scalp_colors(points: SkinPoints, look: Appearance) -> FloatArray:
    """(N, 3) what the scalp looks like under the hair: as the hair before it, but darker; out of sight nearly plain."""
    hair_color = sample(look.hair_color, points.pixels)
    typical = np.median(look.image[look.hair > 0.7], 0) if (look.hair > 0.7).sum() > 100 else hair_color.mean(0)
    hidden = 0.15 * hair_color + 0.85 * typical
    return np.where(points.front[:, None], 0.5 * hair_color + 0.5 * typical, hidden) * 0.85


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
    solved = _poisson_cloned(observed, confidence, source, neighbours, lips, start)
    colors = confidence[:, None] * observed + (1 - confidence[:, None]) * solved
    known = confidence > 0.6
    if known.sum() > 200:
        smooth = colors[neighbours].mean(1)
        grain = np.clip((colors - smooth)[known].mean(1), -0.04, 0.04).std()
        invented = source < 0
        colors[invented] += rng.normal(0, 0.8 * grain, (int(invented.sum()), 1))
    return np.clip(colors, 0, 1).astype(np.float32)


def _poisson_cloned(
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
