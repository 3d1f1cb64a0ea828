"""Earrings that hang from the lobes: flat pieces at the lobes' depth, which the head carries.

Segmentation takes them for hair, and other small things below the ears too. Inflated as hair, they would reach from the neck's
axis onto the jaw, and smear along it when the head turns.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from offline.gaussian_layer import COVERAGE, Layer, empty_layer, surface_layer
from offline.images import dilate, sample
from offline.lift.pixel_mesh import grid_mesh, scatter
from offline.priors import NARROW, ON_EAR
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment.appearance import Appearance
from perse_live.arrays import BoolArray, Float32Array
from perse_live.regions import Region


def loose_pieces(
    geometry: PhotoGeometry, hair: BoolArray, dressed: BoolArray, ears: Float32Array, unit: float
) -> tuple[BoolArray, Float32Array]:
    """Narrow pieces of `hair` (H, W) that begin below the ears' middle, and end before clothes (H, W) and the picture's edge.

    Hair reaches up beside the ear, or down to the shoulders, and a curl under an ear is wide. So these are earrings where they
    begin at a lobe; else shadows, the beard's edge or the background: on neck and jaw they would be flecks. ears: (V,) chart;
    unit: pixels, eye distance / 115. Returns their mask (H, W), and the earrings' depth (H, W), metres along the camera's z,
    elsewhere infinite.
    """
    loose, depth = np.zeros_like(hair), np.full(hair.shape, np.inf, np.float32)
    at = geometry.camera.project(geometry.vertices)
    heights = geometry.to_head(geometry.vertices)[:, 1]
    both = [
        np.nonzero((ears > ON_EAR) & (geometry.template[:, 0] * side > 0))[0] for side in (-1, 1)
    ]
    lobes = np.array([ear[heights[ear].argmin()] for ear in both])
    count, pieces = cv2.connectedComponents(hair.astype(np.uint8))
    for piece in range(1, count):
        hanging = _filled(pieces == piece)
        rows, columns = np.nonzero(hanging)
        near = int(np.abs(at[lobes, 0] - columns.mean()).argmin())
        ear, lobe = at[both[near]], lobes[near]
        narrow = np.ptp(columns) < np.ptp(ear[:, 1]) / 2  # 3 cm: half of an ear's height
        around = dilate(hanging, NARROW * unit)
        ends = (around & dressed).any() or around[[0, -1]].any() or around[:, [0, -1]].any()
        if not narrow or rows.min() < ear[:, 1].mean() or ends:
            continue
        loose |= hanging
        to_lobe = np.hypot(columns + 0.5 - at[lobe, 0], rows + 0.5 - at[lobe, 1])
        if to_lobe.min() < NARROW * unit:
            depth[hanging] = geometry.vertices[lobe, 2]
    return loose, depth


def without_pieces(look: Appearance, loose: BoolArray, unit: float) -> Appearance:
    """The portrait as if nothing of the person were seen at `loose` pieces (H, W) and the mixed pixels around them."""
    bare = ~dilate(loose, NARROW * unit)
    return replace(
        look,
        alpha=look.alpha * bare,
        skin=look.skin * bare,
        hair=look.hair * bare,
        clothes=look.clothes * bare,
    )


def earring_layer(
    geometry: PhotoGeometry,
    look: Appearance,
    depth: Float32Array,
    unit: float,
    rng: np.random.Generator,
) -> Layer:
    """Gaussians of what hangs at a depth (H, W) of `loose_pieces`, but not before the rig, whose jaw would hide it.

    unit: pixels, eye distance / 115.
    """
    shown = np.isfinite(depth) & look.visible & ~geometry.seen.covered
    mesh = grid_mesh(geometry.camera, depth, shown)
    if not len(mesh.triangles):
        return empty_layer()
    points = scatter(mesh, NARROW * unit / geometry.pixels_per_metre, rng=rng)
    return surface_layer(
        points.means,
        points.normals,
        points.spacing * COVERAGE,
        sample(look.image, points.pixels),
        Region.ACCESSORY,
        opacity=np.clip(sample(look.alpha, points.pixels) * 0.95, 0.05, 0.95),
        thickness=1.0,
    )


def _filled(piece: BoolArray) -> BoolArray:
    """A connected component (H, W) with its holes."""
    outlines, _ = cv2.findContours(piece.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(piece.shape, np.uint8), outlines, -1, 1, cv2.FILLED) > 0
