"""Fitting the rig's outline to the person's: landmarks fix the face's inside, but say little of jaw, ears and neck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from scipy.spatial import KDTree

from offline.images import blur, distance_to, sample
from offline.numeric import facing_of, normalized
from offline.rig.ear_fit import ear_offsets
from offline.rig.photo_geometry import PhotoGeometry, photo_geometry
from offline.rig.template_regions import NECK_SIDE
from perse_live.arrays import BoolArray, Float32Array
from perse_live.head.rig import HeadRig, Part, vertices_of
from perse_live.raster import rasterise

# Pixels (eye distance 115): bare skin farther beyond the rig's outline is another outline; and the same for the neck, whose width
# landmarks do not determine, and for a rig that reaches beyond the person
_REACH, _FAR = 6.0, 25.0
_LOWEST = -0.19  # metres on the mean head: below are shoulders
# Pixels (eye distance 115) that the rig is left wider: about a splat, or background would shine through the edge. A neck ends
# inside its collar.
_OVERLAP, _NECK_OVERLAP = 1.6, -1.5
# Pixels (eye distance 115) from the rig's outline; a jaw in front of a neck is an edge, but not an outline
_ON_OUTLINE = 3.0
# Metres that a head goes on behind its hairline at the temples: seen from the front, skin there turns away by 65 to 70 degrees
_BEHIND_HAIRLINE = 0.006
# Metres over which a move spreads on the surface, round by round
_SMOOTHNESS = (0.009, 0.007, 0.006, 0.004, 0.003, 0.003)


def with_fitted_outline(
    geometry: PhotoGeometry,
    person: BoolArray,  # (H, W) the matte's inside
    hair: Float32Array,  # (H, W) probability
    dressed: BoolArray,  # (H, W) clothes, which count as outside
    ears: Float32Array,  # (V,) in [0, 1]
    unit: float,  # pixels, eye distance / 115
) -> tuple[HeadRig, PhotoGeometry]:
    """The neutral rig with its outline brought onto the person's, and its new view."""
    offsets = outline_offsets(geometry, person, hair, dressed, ears, unit)
    rig = replace(
        geometry.rig,
        vertices=geometry.rig.vertices + offsets @ geometry.R_cam_head.astype(np.float32),
    )
    vertices = geometry.to_head(geometry.vertices + offsets).astype(np.float32)
    return rig, photo_geometry(
        geometry.camera, rig, vertices, geometry.R_cam_head, geometry.t_cam_head, geometry.template
    )


def outline_offsets(
    geometry: PhotoGeometry,
    person: BoolArray,  # (H, W) the matte's inside
    hair: Float32Array,  # (H, W) probability
    dressed: BoolArray,  # (H, W) clothes, which count as outside
    ears: Float32Array,  # (V,) in [0, 1]; moved as a whole (see `ear_fit`)
    unit: float,  # pixels, eye distance / 115
) -> Float32Array:
    """Offsets that bring the rig's outline onto the person's.

    Where the rig reaches beyond the person it is pulled in, where bare skin extends beyond the rig's outline it is pulled out.
    Under hair, which hides the outline, it is pulled out only where skin is seen up to it: hair beside a head that is too narrow
    would stand off it when it turns. Returns (V, 3) metres, camera frame, within the picture's plane.
    """
    inside = person & ~dressed
    signed = distance_to(inside) - distance_to(~inside)
    slope = _slope(blur(signed, 1.5 * unit))
    movable = vertices_of(geometry.rig, Part.SKIN) & (geometry.template[:, 1] > _LOWEST)
    index = np.nonzero(movable)[0]
    place = geometry.template[index]
    neck = NECK_SIDE.contains(place)
    reach, overlap = (
        unit * np.where(neck, *pair) for pair in ((_FAR, _REACH), (_NECK_OVERLAP, _OVERLAP))
    )
    near_hair, near_clothes = blur(hair > 0.5, 2.5 * unit), blur(dressed, 2.5 * unit)
    from_skin = distance_to(inside & (hair < 0.5))
    hairline = _BEHIND_HAIRLINE * geometry.pixels_per_metre
    limit = np.array([geometry.camera.width, geometry.camera.height], np.float32)
    with_ears = geometry.vertices + ear_offsets(geometry, person, hair, dressed, ears)
    points = with_ears[index]
    on_ear = ears[index] > 0.3
    inner = distance_to(~rasterise(with_ears, geometry.triangles, geometry.camera).covered)
    on_outline = (
        sample(inner, geometry.camera.project(geometry.vertices[index])) < _ON_OUTLINE * unit
    )
    tree = KDTree(points)
    pairs = sp.csr_matrix(tree.sparse_distance_matrix(tree, 2.5 * _SMOOTHNESS[0]))
    facing = facing_of(points, geometry.normals[index])
    for smoothness in _SMOOTHNESS:
        kernel = pairs.copy()
        kernel.data = np.exp(-0.5 * (kernel.data / smoothness) ** 2)
        kernel = kernel + sp.identity(len(points))
        pixels = geometry.camera.project(points)
        framed = ((pixels > 2) & (pixels < limit - 2)).all(1)
        away = sample(signed, pixels)
        border = pixels - away[:, None] * sample(slope, pixels)
        bare = (sample(near_hair, pixels) < 0.3) & (sample(near_hair, border) < 0.3)
        framed &= ~on_ear
        outer = framed & (away > overlap) & (away < _FAR * unit)
        edge_on = framed & on_outline & (np.abs(facing) < 0.3)
        # Behind the jaw the outline continues as the neck's
        bare &= neck | (sample(near_clothes, border) < 0.3)
        rim = edge_on & bare & (-away < reach) & (away <= overlap)
        hidden = edge_on & (place[:, 1] > 0) & (sample(near_hair, border) >= 0.3)
        hidden &= -away > 2 * hairline
        outwards = np.where(
            hidden, np.clip(hairline - sample(from_skin, pixels), 0, None), -(away - overlap)
        )
        wanted = np.where(
            (outer | rim | hidden)[:, None], outwards[:, None] * sample(slope, pixels), 0
        )
        weight = np.where(outer, 1.0, np.where(rim | hidden, 0.5, 0.0))
        # the neighbours' weighted mean, decaying far from any that is to move
        move = (kernel @ (weight[:, None] * wanted)) / np.maximum(kernel @ weight, 1.0)[:, None]
        points[:, :2] += move * points[:, 2:] / geometry.camera.fx
    offsets = np.zeros_like(geometry.vertices)
    offsets[index] = points - geometry.vertices[index]
    return offsets


def _slope(distance: Float32Array) -> Float32Array:
    """Unit direction (H, W, 2) in which a distance (H, W) grows."""
    down, right = np.gradient(distance)
    return normalized(np.stack([right, down], -1)).astype(np.float32)
