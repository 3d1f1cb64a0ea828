"""Shoulders and chest behind hair that hangs over them: completed, so that another hairstyle bares whole clothes and skin.

The photo shows neither their outline nor their colours. The outline is the fitted rig's, moved in each column of the picture by
as much as the photo's differs from it in the nearest columns that show it; classes and colours are those of the body around the
hair, each class's from its own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.gaussian_layer import COVERAGE, Layer, empty_layer, surface_layer
from offline.images import dilate, fill_from, sample, without_small
from offline.lift.body import neck_column
from offline.lift.depth import sheet_depth
from offline.lift.pixel_mesh import grid_mesh, scatter
from offline.priors import COVERING, ENOUGH, NARROW, PIECE
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment.appearance import Appearance
from perse_live.arrays import BoolArray, Float32Array, Int32Array
from perse_live.head.rig import Part
from perse_live.raster import rasterise
from perse_live.regions import Region

_EDGE = 3.0  # pixels (eye distance 115) of mixed pixels between clothes and what is behind them
_SPACING = 0.004  # metres between Gaussians: about as on plain clothes


@dataclass(frozen=True, eq=False)
class CoveredBody:
    """The body behind hair, on the photo's pixel grid."""

    mask: BoolArray
    """(H, W) hair with the body behind it."""
    dressed: BoolArray
    """(H, W) where it has clothes."""
    image: Float32Array
    """(H, W, 3) sRGB: its completed colours."""
    depth: Float32Array
    """(H, W) metres along the camera's z: of its surface, continued under the edge of what is seen; infinite elsewhere."""
    shift: Float32Array
    """(W,) pixels down from the outline of the rig's body to the photo's."""


def covered_body(
    geometry: PhotoGeometry,
    look: Appearance,
    hair: BoolArray,
    dressed: BoolArray,
    chin_row: float,
    unit: float,
) -> CoveredBody:
    """Complete the body behind `hair` (H, W) below the chin.

    dressed: (H, W) visible clothes; chin_row: pixels; unit: pixels, eye distance / 115.
    """
    below = np.arange(len(hair))[:, None] > chin_row
    body_triangles = np.ascontiguousarray(geometry.rig.triangles[geometry.rig.parts == Part.BODY])
    rig = rasterise(geometry.vertices, body_triangles, geometry.camera).covered
    beside = dilate(hair, 2 * NARROW * unit)
    outline, shift = _outline_shift(geometry, rig, look, beside, dressed, chin_row, unit)
    silhouette = np.arange(len(hair))[:, None] >= outline + shift
    mask = without_small(hair & below & look.person & look.valid & silhouette, PIECE * unit**2)
    body = look.opaque & look.valid & below & ~beside & (dressed | rig)
    if body.sum() < ENOUGH or not mask.any():
        none = np.zeros_like(mask)
        return CoveredBody(none, none, look.image, np.full(mask.shape, np.inf, np.float32), shift)
    # Under the edge of what is seen, too, or a seam of holes would lie there
    edge = dilate(mask, 2 * NARROW * unit) & (dressed | rig) & look.opaque & look.valid & below
    whole = mask | (edge & silhouette & ~hair)
    clothes = fill_from((dressed & body).astype(np.float32), body) > 0.5
    known = [part for part in (body & dressed, body & ~dressed) if part.any()]
    neck = neck_column(geometry)
    colors = [_filled(look.image, part, neck) for part in known]
    image = np.where(clothes[..., None], colors[0], colors[-1])
    alpha = np.where(hair & below, mask, look.alpha).astype(np.float32)
    depth = sheet_depth(geometry, dressed | (mask & clothes), alpha, unit)
    depth = np.where(mask, depth, depth + np.float32(COVERING))
    return CoveredBody(
        mask, whole & clothes, image, np.where(whole, depth, np.float32(np.inf)), shift
    )


def _outline_shift(
    geometry: PhotoGeometry,
    rig: BoolArray,
    look: Appearance,
    hair: BoolArray,
    dressed: BoolArray,
    chin_row: float,
    unit: float,
) -> tuple[Int32Array, Float32Array]:
    """Rows (W,) of the outline of the rig's body (H, W), the frame's height where there is none, and pixels down to the photo's.

    Where the photo does not show its outline, as at hair (H, W), the shift is that of the nearest columns that do, or of
    the other shoulder; 0 at the neck. dressed: (H, W) visible clothes.
    """
    height, columns = len(rig), np.arange(rig.shape[1])
    below = np.arange(height)[:, None] > chin_row
    body = dressed | (below & (look.person | ~look.valid))
    outline, first = (np.where(mask.any(0), mask.argmax(0), height) for mask in (rig, body))
    inside = (outline < height) & (first < height)
    at = np.minimum(first, height - 1)
    above = np.maximum(at - round(_EDGE * unit), 0)
    shows = inside & ~hair.any(0) & look.valid[at, columns] & ~look.person[above, columns]
    neck = neck_column(geometry)
    known = {neck: 0.0}
    for side in (-1, 1):
        own = shows & ((columns - neck) * side > 0)
        mirrored = not own.any()  # as the other shoulder
        for column in columns[shows if mirrored else own]:
            place = 2 * neck - column if mirrored else column
            known[int(place)] = float(first[column] - outline[column])
    places = sorted(known)
    shift = np.interp(columns, places, [known[column] for column in places])
    return outline.astype(np.int32), shift.astype(np.float32)


def _filled(image: Float32Array, known: BoolArray, middle: int) -> Float32Array:
    """Colours (H, W, 3) of `known` (H, W), elsewhere those across the `middle` column, and where neither is known, smooth."""
    columns = 2 * middle - np.arange(known.shape[1])
    across = np.clip(columns, 0, known.shape[1] - 1)
    mirrored = known[:, across] & (columns == across)
    colors = np.where(known[..., None], image, image[:, across])
    return fill_from(np.where((known | mirrored)[..., None], colors, 0), known | mirrored)


def covered_layer(geometry: PhotoGeometry, covered: CoveredBody, rng: np.random.Generator) -> Layer:
    """Opaque Gaussians of the body behind hair, which refinement leaves as they are."""
    mesh = grid_mesh(geometry.camera, covered.depth, np.isfinite(covered.depth))
    if not len(mesh.triangles):
        return empty_layer()
    points = scatter(mesh, _SPACING, rng=rng)
    layer = surface_layer(
        points.means,
        points.normals,
        points.spacing * COVERAGE,
        sample(covered.image, points.pixels),
        Region.CLOTHES,
        freedom=0.0,
        color_freedom=0.0,
        least_opacity=0.9,
    )
    x, y = points.pixels.astype(int).T
    layer.regions[~covered.dressed[y, x]] = int(Region.SKIN)
    return layer
