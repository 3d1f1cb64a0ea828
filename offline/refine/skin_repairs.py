"""Skin at the silhouette: what stands behind the jaw has coloured it, and would show as a dark line when the head turns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.gaussian_layer import Layer
from offline.numeric import ramp
from offline.rig.template_regions import EYE_SURROUNDINGS
from perse_live.arrays import FloatArray
from perse_live.gaussians import Gaussians
from perse_live.regions import Region
from perse_live.rotations import to_matrix

_GRAZING, _SURE = 0.38, 0.50  # cosine between normal and view: below, a pixel mixes; above, it is skin
_BELOW_EYES = -0.030  # metres, head frame; hair grows higher up
_NEIGHBOURS = 24
_REACH = 0.04  # metres to the farthest neighbour that is asked
_SIDE, _NECK, _TEMPLE = 0.045, -0.09, 0.03  # metres, head frame: where the sides of head and neck begin, and end above
_AROUND, _SPECK = 40, (0.12, 0.22)  # Gaussians around; how much sRGB colours differ of what may be, and surely is a speck
_FREE = (0.3, 0.9)  # freedom of colour below which a change is not the skin's own, and above which it is
_FADING = (0.02, 0.09)  # metres from free skin over which its change of tone dies away
_OTHER = (0.22, 0.38)  # difference of sRGB colours from which one is another's, and surely is


def with_own_rim(layer: Layer, heights: FloatArray) -> Layer:
    """The layer whose skin at grazing angles has the colour of the skin beside it that the photo sees well.

    heights: (N,) metres above the eyes, head frame. Only skin below the eyes is changed, and only where its colour is another's:
    a beard or a shadow that goes on around the jaw stays, and so does what refinement was not free to colour.
    """
    skin = (layer.regions == Region.SKIN) & (heights < _BELOW_EYES)
    photographed = layer.color_freedom > 0
    facing = _facing(layer.gaussians)
    sure, grazing = np.nonzero(skin & (facing > _SURE))[0], np.nonzero(skin & photographed & (facing < _GRAZING))[0]
    if len(sure) < _NEIGHBOURS or not len(grazing):
        return layer
    means, colors = layer.gaussians.means, layer.gaussians.colors
    distance, found = KDTree(means[sure]).query(means[grazing], k=_NEIGHBOURS)
    beside = np.median(colors[sure[np.asarray(found)]], axis=1)
    other = np.linalg.norm(colors[grazing] - beside, axis=1)
    share = ramp(other, *_OTHER) * (np.asarray(distance)[:, -1] < _REACH)
    mended = colors.copy()
    mended[grazing] += (share[:, None] * (beside - colors[grazing])).astype(np.float32)
    return replace(layer, gaussians=replace(layer.gaussians, colors=mended))


def with_even_tone(before: Layer, after: Layer, points: FloatArray) -> Layer:
    """The refined layer whose skin that refinement was not free to colour has gone the way of the free skin beside it.

    Else the cheek would change its tone where the photo's view of it ends: a flap before the ear. Where refinement was free in
    part that part stays, beside the eyes all of it. before, after: the same Gaussians; points: (N, 3) metres, head frame.
    """
    skin = np.isin(before.regions, (Region.SKIN, Region.BODY)) & ~EYE_SURROUNDINGS.contains(points)
    free = np.nonzero(skin & (before.color_freedom > _FREE[1]))[0]
    bound = np.nonzero(skin & (before.color_freedom < _FREE[1]))[0]
    if len(free) < _NEIGHBOURS or not len(bound):
        return after
    start, colors = before.gaussians.colors, after.gaussians.colors.copy()
    change = colors - start
    distance, found = KDTree(points[free]).query(points[bound], k=_NEIGHBOURS)
    fading = 1 - ramp(np.asarray(distance)[:, 0], *_FADING)
    beside = np.median(change[free[np.asarray(found)]], axis=1) * fading[:, None]
    own = ramp(before.color_freedom[bound], *_FREE)[:, None]
    colors[bound] = np.clip(start[bound] + own * change[bound] + (1 - own) * beside, 0.002, 0.998).astype(np.float32)
    return replace(after, gaussians=replace(after.gaussians, colors=colors))


def without_specks(layer: Layer, points: FloatArray) -> Layer:
    """The layer whose skin at the sides of head and neck has no single Gaussian unlike those around it.

    There the photo's pixels mix it with hair, collar and background. What faces the camera, as a mole does, stays, and so does
    all that is many, as a beard is. points: (N, 3) metres, head frame.
    """
    skin = layer.regions == Region.SKIN
    aside = (np.abs(points[:, 0]) > _SIDE) | (points[:, 1] < _NECK)
    judged = np.nonzero(skin & aside & (points[:, 1] < _TEMPLE) & (_facing(layer.gaussians) < _SURE))[0]
    if skin.sum() < _AROUND or not len(judged):
        return layer
    colors = layer.gaussians.colors
    _, found = KDTree(points[skin]).query(points[judged], k=_AROUND)
    around = np.median(colors[skin][np.asarray(found)], axis=1)
    other = ramp(np.linalg.norm(colors[judged] - around, axis=1), *_SPECK)
    mended = colors.copy()
    mended[judged] += (other[:, None] * (around - colors[judged])).astype(np.float32)
    return replace(layer, gaussians=replace(layer.gaussians, colors=mended))


def _facing(gaussians: Gaussians) -> FloatArray:
    """Cosine between each third axis and the way to the camera, (N,)."""
    normals = to_matrix(gaussians.quats.astype(np.float64))[:, :, 2]
    views = gaussians.means / np.linalg.norm(gaussians.means, axis=1, keepdims=True)
    return np.abs((normals * views).sum(1))
