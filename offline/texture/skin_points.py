"""Points spread over the skin of the rig, and what the photo's camera sees of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offline.images import distance_to, sample
from offline.lift.lids import LidPoints, blink_moves
from offline.numeric import facing_of, ratio
from offline.priors import SAME_PLACE
from offline.rig.anatomy import HeadCharts
from offline.rig.photo_geometry import PhotoGeometry
from offline.rig.template_regions import EYES_LOWEST, FACE_FRONT
from offline.sampling import SurfacePoints, poisson_disk, triangle_areas
from offline.segment.appearance import Appearance
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.head.expressions import index, indices
from perse_live.head.rig import Part, expressed

_UNFOLDED_JAW = 0.6  # jawOpen at which lips are spread out
# Spacing of skin Gaussians, pixels of the portrait (512 px, head about half of it): lips and lids, fine structures that stretch;
# where expressions live, about 12,000 Gaussians; ears and neck, seen often, but plain; well inside the hair that the photo
# shows; where hair grows and the photo does not show it
_FINE, _FACE, _PLAIN, _UNDER_HAIR, _SCALP = 1.15, 1.7, 3.2, 4.5, 7.0


@dataclass(frozen=True)
class SkinPoints:
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
    folded: LidPoints


def spread_points(
    geometry: PhotoGeometry,
    charts: HeadCharts,
    source_expression: FloatArray,
    gaze: FloatArray,
    under_hair: BoolArray,
    rng: np.random.Generator,
) -> SurfacePoints:
    """Points on the skin. under_hair: (H, W) where the photo shows nothing of it."""
    rig = geometry.rig
    # lids and lips are spread where they are widest; everything else as it is in the photo
    wide, vertices = (
        expressed(rig, pose(source_expression), gaze=gaze) for pose in (unfolded, with_eyes_shut)
    )
    grown = np.sqrt(
        ratio(triangle_areas(wide, rig.triangles), triangle_areas(vertices, rig.triangles))
    )
    rest = geometry.triangle_template()
    chart = {
        name: getattr(charts, name)[rig.triangles].mean(1)
        for name in ("lips", "ears", "eyelids", "scalp")
    }
    pixel = 1 / geometry.pixels_per_metre
    spacing = np.full(len(rig.triangles), _SCALP * pixel)
    spacing[rest[:, 2] > -0.12] = _PLAIN * pixel
    spacing[(chart["scalp"] > 0.7) & (chart["ears"] < 0.1)] = _SCALP * pixel
    face = FACE_FRONT.contains(rest)
    spacing[face] = _FACE * pixel
    fine = (chart["lips"] > 0.3) | (chart["eyelids"] > 0.2)
    spacing[fine & face] = _FINE * pixel
    hidden = np.zeros(len(spacing), np.bool_)
    hidden[
        np.unique(
            geometry.triangle_rows[geometry.seen.triangle_ids[under_hair & geometry.seen.covered]]
        )
    ] = True
    hidden &= rest[:, 1] > 0  # below the eyes locks may swing away
    spacing[hidden] = np.maximum(spacing[hidden], _UNDER_HAIR * pixel)
    spacing[rig.parts != Part.SKIN] = 0
    grown[fine & face] = 1
    points = poisson_disk(wide, rig.triangles, spacing * grown, rng=rng)
    return replace(points, spacing=(points.spacing / grown[points.triangle]).astype(np.float32))


def skin_points(
    geometry: PhotoGeometry, look: Appearance, charts: HeadCharts, on: SurfacePoints, unit: float
) -> SkinPoints:
    """unit: pixels, eye distance / 115."""
    means, normals = geometry.on_rig(on)
    rest = geometry.on_template(on)
    size = np.array([geometry.camera.width, geometry.camera.height])
    projected = geometry.camera.project(means)
    inside = np.asarray(((projected > 1) & (projected < size - 1)).all(1), np.bool_)
    pixels = np.clip(projected, 1, size - 1)
    facing = facing_of(means, normals)
    lips, lids, ears, scalp, brows, moved = (
        on.interpolate(chart, geometry.rig.triangles)
        for chart in (
            charts.lips,
            charts.eyelids,
            charts.ears,
            charts.scalp,
            charts.brows,
            blink_moves(geometry.rig),
        )
    )
    from_opening = sample(distance_to(look.openings), pixels) / unit
    from_eye = np.where(rest[:, 1] > EYES_LOWEST, from_opening, np.inf)
    folded = LidPoints(rest, moved, from_eye, brows)
    return SkinPoints(
        on,
        means,
        normals,
        rest,
        lips,
        lids,
        ears,
        scalp,
        pixels,
        inside,
        facing,
        front=visible(geometry, means, rest, pixels) & inside & (facing > 0.05),
        observed=sample(look.image, pixels),
        hair=sample(look.hair, pixels),
        folded=folded,
    )


def visible(
    geometry: PhotoGeometry, means: FloatArray, rest: FloatArray, pixels: FloatArray
) -> BoolArray:
    """Whether the photo's camera sees the points (N,): same depth, and same place of the surface (lips lie close together)."""
    x, y = pixels[:, 0].astype(int), pixels[:, 1].astype(int)
    near = means[:, 2] < geometry.seen.depth[y, x] + SAME_PLACE
    place = geometry.template_map()[y, x]
    with np.errstate(invalid="ignore"):
        same = np.linalg.norm(place - rest, axis=1) < SAME_PLACE
    return near & (same | ~np.isfinite(place[:, 0]))


def with_eyes_shut(expression: FloatArray) -> Float32Array:
    """An expression (52,) with both eyes shut."""
    shut = np.array(expression, np.float32)
    shut[list(indices(["eyeBlinkLeft", "eyeBlinkRight"]))] = 1.0
    return shut


def unfolded(expression: FloatArray) -> Float32Array:
    """An expression (52,) that spreads out folded skin: both eyes shut, and the mouth open."""
    spread = with_eyes_shut(expression)
    spread[index("jawOpen")] = max(float(spread[index("jawOpen")]), _UNFOLDED_JAW)
    return spread
