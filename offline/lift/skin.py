"""Gaussians on skin and scalp, and a second layer of skin below."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.gaussian_layer import COVERAGE, Layer, surface_layer
from offline.images import distance_to, nearest_true, sample
from offline.lift.lids import shaped_for
from offline.numeric import ramp
from offline.priors import COVERING
from offline.rig.anatomy import HeadCharts
from offline.rig.photo_geometry import PhotoGeometry
from offline.rig.template_regions import CHIN_HEIGHT, FACE_AND_THROAT
from offline.sampling import poisson_disk
from offline.segment.appearance import Appearance
from offline.texture.observation import CompletedSkin, SkinObservation
from offline.texture.skin_points import SkinPoints, unfolded
from perse_live.arrays import BoolArray, FloatArray
from perse_live.head.fit import FrameFit
from perse_live.head.rig import Part, expressed
from perse_live.regions import Region

_UNDER_LIPS = 0.0006  # metres of the second layer below the first, on the lips
# Pixels between its Gaussians, and on the lips
_UNDER_SPACING, _LIP_SPACING = (6.0, 2.2)
# Pixels that skin may reach beyond the person; eye distance 115: from how far it is pulled in
_OUTSIDE, _PULLED_IN = (2.0, 8.0)
# Least displacement in a blink of lids, and least chart of lips, whose Gaussians are shaped for the pose that unfolds them
_UNFOLDS = 0.02
_LIPS_REGION = 0.5  # chart of the lips from which a Gaussian is theirs
_LIPS_FREE = 0.5  # freedom of colour in refinement, on the lips
# Factors of their width: an opening mouth would tear pinholes between those of the lips, and the socket behind a lid is dark
_STRETCHED, _LID_WIDE = (1.2, 1.25)
_SEAM = 0.4  # darkening of lips where they meet


def skin_layer(
    observation: SkinObservation,
    completed: CompletedSkin,
    geometry: PhotoGeometry,
    look: Appearance,
    charts: HeadCharts,
    dressed: BoolArray,  # (H, W) clothes in front of the skin
    frame: FrameFit,  # of the photo
    *,
    unit: float,  # pixels, eye distance / 115
) -> Layer:
    """Gaussians on skin and scalp, in their completed colours."""
    points, scalp, lip_edges = observation.points, observation.scalp, observation.lip_edges
    colors = completed.colors
    # refinement may change only what the photo shows; the lid's shadow above an open eye would come back onto the closing lid
    shown = points.folded.free
    freedom = np.clip(completed.confidence, 0, 1) * (points.lids < 0.05) * ~scalp * shown
    # mixed pixels are fitted by the hair and clothes in front, or they would show on the cheek when the head turns
    color_freedom = completed.confidence * shown
    # Else teeth and shadow would be baked onto them; closed lips meet in a separate shadow
    if look.lip_edges is not None:
        inner = points.on.interpolate(charts.lip_inner, geometry.rig.triangles)
        colors = colors * (1 - _SEAM * lip_edges * inner)[:, None]
        color_freedom = color_freedom * (1 - lip_edges)
    lid = points.folded.moved > _UNFOLDS
    wide = COVERAGE * (1.06 + (_STRETCHED - 1.06) * ramp(points.lips, 0.02, 0.3))
    wide = wide * np.where(lid, _LID_WIDE, 1)
    layer = surface_layer(
        points.means,
        points.normals,
        points.on.spacing * wide,
        colors,
        Region.SKIN,
        triangles=points.on.triangle,
        freedom=freedom,
        color_freedom=color_freedom,
        least_opacity=0.8,
    )
    spread = unfolded_vertices(geometry, frame)
    layer = shaped_for(layer, lid | (points.lips > _UNFOLDS), spread, geometry)
    layer.regions[:] = np.where(points.lips > _LIPS_REGION, int(Region.LIPS), int(Region.SKIN))
    layer.regions[scalp] = int(Region.SCALP)
    return _within_outline(layer, geometry, points, look, dressed, unit)


def _within_outline(
    layer: Layer,
    geometry: PhotoGeometry,
    points: SkinPoints,
    look: Appearance,
    dressed: BoolArray,
    unit: float,
) -> Layer:
    """The layer, restricted to the person where the rig is wider, as it would cover background or shirt.

    Gaussians that reach out a little are pulled in; removed, they would be missing in the cheek when the head turns. Skin under a
    shirt continues. unit: pixels, eye distance / 115.
    """
    on_head = continued(look.person, look.valid)
    on_person = look.person | ~look.valid
    bare = on_person & ~(dressed & look.valid)
    if not bare.any():
        return layer
    head = points.inside & (points.rest[:, 1] > CHIN_HEIGHT)  # the neck ends at a collar
    pixels = points.pixels.copy()
    for inside, told in ((on_head, head), (bare, head & points.front)):
        pixels[told] = pulled_in(pixels[told], inside, _OUTSIDE, _PULLED_IN * unit)
    means = layer.gaussians.means.copy()
    means[:, :2] += (pixels - points.pixels) * means[:, 2:] / geometry.camera.fx
    from_person = np.where(
        head, sample(distance_to(on_head), pixels), sample(distance_to(on_person), pixels)
    )
    off = from_person > _OUTSIDE + 0.5
    on_shirt = points.front & (sample(distance_to(bare), pixels) > _OUTSIDE + 0.5)
    return replace(layer, gaussians=replace(layer.gaussians, means=means)).select(
        ~(points.inside & (off | on_shirt))
    )


def continued(mask: BoolArray, valid: BoolArray) -> BoolArray:
    """A mask (H, W) that goes on beyond the photo as it is at the photo's edge. valid: (H, W) inside the photo."""
    _, rows, columns = nearest_true(valid)
    return mask[rows, columns]


def pulled_in(pixels: FloatArray, inside: BoolArray, outside: float, reach: float) -> FloatArray:
    """Pixels (N, 2) moved so that they lie no more than `outside` pixels off a mask (H, W); beyond `reach` pixels they stay."""
    distance, rows, columns = nearest_true(inside)
    x, y = pixels.astype(int).T
    away = distance[y, x]
    border = np.stack([columns[y, x], rows[y, x]], 1) + 0.5
    share = np.clip(1 - outside / np.maximum(away, 1e-6), 0, 1) * (away <= reach)
    return pixels + share[:, None] * (border - pixels)


def unfolded_vertices(geometry: PhotoGeometry, frame: FrameFit) -> FloatArray:
    """The rig's vertices (V, 3) with lids and mouth spread out, camera frame."""
    spread = expressed(geometry.rig, unfolded(frame.expression), gaze=frame.gaze)
    return spread @ geometry.R_cam_head.T + geometry.t_cam_head


def under_skin(
    geometry: PhotoGeometry,
    charts: HeadCharts,
    skin: Layer,
    frame: FrameFit,
    rng: np.random.Generator,
) -> Layer:
    """A coarse second layer of skin of face, neck and lips below the first, in its colours. frame: of the photo.

    Where the first is stretched or seen from near, pinholes open between its Gaussians, through which tongue, hair or background
    would show. Refinement moves lips' Gaussians apart, which shows no gap while lip lies before lip, but does in an open mouth.
    """
    rig, rest, pixel = geometry.rig, geometry.triangle_template(), 1 / geometry.pixels_per_metre
    lips = charts.lips[rig.triangles].max(1) > _UNFOLDS
    lids = charts.eyelids[rig.triangles].max(1) > _UNFOLDS
    below = (rig.parts == Part.SKIN) & ~lids & FACE_AND_THROAT.contains(rest)
    spacing = np.where(lips, _LIP_SPACING, _UNDER_SPACING) * pixel
    spread = unfolded_vertices(geometry, frame)
    points = poisson_disk(spread, rig.triangles, np.where(below, spacing, 0), rng=rng)
    means, normals = geometry.on_rig(points)
    colors = skin.gaussians.colors[KDTree(skin.gaussians.means).query(means)[1]]
    on_lips = lips[points.triangle]
    depth = np.where(on_lips, _UNDER_LIPS, COVERING)
    layer = surface_layer(
        means - depth[:, None] * normals,
        normals,
        points.spacing * COVERAGE,
        colors,
        Region.SKIN,
        triangles=points.triangle,
        freedom=0.0,
        color_freedom=np.where(on_lips, _LIPS_FREE, 0.0),
        least_opacity=0.95,
    )
    layer.regions[points.interpolate(charts.lips, rig.triangles) > _LIPS_REGION] = int(Region.LIPS)
    return shaped_for(layer, on_lips, spread, geometry)
