"""How far the photo's colour of a point of the skin is the point's own."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from offline.images import blur, dilate, sample
from offline.numeric import ramp
from offline.segment.appearance import Appearance
from offline.texture.skin_points import SkinPoints
from perse_live.arrays import BoolArray, FloatArray

_WELL_SEEN, _BESIDE, _FAR = 0.7, 24, 0.04  # confidence of skin that others are compared with, so many points, within metres
_OTHER = (0.15, 0.28)  # difference of sRGB colours from which one is another's, and surely is


def photo_confidence(points: SkinPoints, look: Appearance) -> FloatArray:
    """How far the photo's colour is the point's own, (N,) in [0, 1]."""
    pixels = points.pixels
    seen = points.front * ramp(points.facing, 0.2, 0.5) * ramp(sample(look.alpha, pixels), 0.8, 0.98)
    confidence = seen * sample(look.skin * look.purity, pixels) * (sample(blur(look.openings, 0.7), pixels) < 0.25)
    confidence = confidence * (sample(look.valid, pixels) > 0.99)
    confidence = confidence * _without_lashes(points, confidence)
    confidence = confidence * _without_outliers(points.observed, confidence, np.abs(points.rest[:, 0]))
    return confidence * _like_neighbours(points, confidence)


def _like_neighbours(points: SkinPoints, confidence: FloatArray) -> FloatArray:
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


def _without_lashes(points: SkinPoints, confidence: FloatArray) -> FloatArray:
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


def uncovered(dressed: BoolArray, pixels: FloatArray) -> FloatArray:
    """1 at pixels (N, 2) off the clothes (H, W), 0 on them."""
    return 1 - sample(blur(dilate(dressed, 1.0), 1.0), pixels)
