"""Which points of the rig's skin grow hair, lie behind hair, or lie under a collar."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from offline.images import sample
from offline.priors import ENOUGH, PATCH, SAME_PLACE
from offline.rig.template_regions import BEHIND_JAW, EYES_LOWEST, NECK_TOP
from offline.segment.appearance import Appearance
from offline.texture.mirror import mirrored_share
from offline.texture.skin_points import SkinPoints
from perse_live.arrays import BoolArray, FloatArray

# Cosines to the camera at the outline; weight of depth relative to height next to it
_LAST_SEEN, _ALONG = ((0.05, 0.45), 0.2)


def scalp_points(points: SkinPoints, look: Appearance, yaw: float) -> BoolArray:
    """Which points (N,) grow hair: as the photo shows well, mirrored where it shows only one side, else by the chart."""
    rest, hairy = points.rest, points.hair > 0.5
    seen = (
        points.front
        & points.inside
        & (points.facing > 0.3)
        & (sample(look.alpha, points.pixels) > 0.9)
    )
    seen &= mirrored_share(rest, yaw) < 0.5
    # a shine on the crown is no bald spot
    crown = np.flatnonzero(points.scalp > 0.9)
    beside = np.asarray(KDTree(rest).query(rest[crown], k=min(ENOUGH, len(rest)))[1])
    hairy[crown] |= hairy[beside].mean(1) > 0.5
    result = np.where(seen, hairy, points.scalp > 0.5)
    if seen.any():
        distance, nearest = KDTree(rest[seen]).query(rest * np.array([-1, 1, 1]))
        mirrored = ~seen & (distance < SAME_PLACE)
        result = np.where(mirrored, hairy[seen][nearest], result)
    return result & (points.scalp > 0.02)


def points_behind_hair(points: SkinPoints) -> BoolArray:
    """Points (N,) around an ear that the photo's hair covers: seen from the side, they must look like hair."""
    rest = points.rest
    covered = np.zeros(len(rest), np.bool_)
    for side in (-1.0, 1.0):
        ear = (points.ears > 0.3) & (rest[:, 0] * side > 0) & points.inside
        if ear.sum() > PATCH and (points.hair[ear] > 0.5).mean() > 0.6:
            lowest = np.percentile(rest[ear & (points.hair > 0.5), 1], 10)  # where this hair ends
            covered |= (
                (rest[:, 0] * side > 0.03)
                & (rest[:, 2] < BEHIND_JAW)
                & (rest[:, 1] > max(lowest, NECK_TOP))
            )
    return covered


def points_round_the_side(points: SkinPoints) -> BoolArray:
    """Points (N,) between the photo's outline of the head and the ear, where at their height hair is last seen.

    Hair of the temple continues to the ear; bare skin behind it would look torn.
    """
    rest, covered = points.rest, np.zeros(len(points.rest), np.bool_)
    aside = (
        (points.ears < 0.3)
        & (np.abs(rest[:, 0]) > 0.04)
        & (rest[:, 2] < 0.0)
        & (rest[:, 1] > EYES_LOWEST)
    )
    for side in (-1.0, 1.0):
        here = aside & (rest[:, 0] * side > 0)
        seen = (
            here & points.front & (points.facing > _LAST_SEEN[0]) & (points.facing < _LAST_SEEN[1])
        )
        unseen = np.nonzero(here & ~(points.front & (points.facing > _LAST_SEEN[1])))[0]
        if seen.sum() < PATCH or not len(unseen):
            continue
        height = [0.0, 1.0, _ALONG]
        _, found = KDTree(rest[seen] * height).query(rest[unseen] * height, k=PATCH)
        covered[unseen] = (points.hair[seen][np.asarray(found)] > 0.5).mean(1) > 0.5
        covered[unseen] &= ~_below_gap(rest[unseen, 1], covered[unseen])
    return covered


def _below_gap(heights: FloatArray, hairy: BoolArray) -> BoolArray:
    """Points (N,) lower than the first stretch of bare skin under the hair: what is dark there is the shadow of an ear.

    heights: (N,) metres; hairy: (N,).
    """
    row = np.floor((heights.max() - heights) / SAME_PLACE).astype(np.int64)
    count = np.bincount(row)
    share = np.bincount(row, hairy) / np.maximum(count, 1)
    bare = (count > 0) & (share < 0.5) & (np.maximum.accumulate(share) >= 0.5)
    return row >= np.argmax(bare) if bare.any() else np.zeros(len(row), np.bool_)


def hair_share_of_points(points: SkinPoints, scalp: BoolArray) -> FloatArray:
    """Share of hair in points (N,): an invisible hairline is soft; elsewhere separate hair Gaussians cover it."""
    share = scalp.astype(np.float64)
    unseen = np.flatnonzero(~points.front | (points.facing < _LAST_SEEN[1]))
    beside = KDTree(points.rest).query(points.rest[unseen], k=min(PATCH, len(points.rest)))[1]
    share[unseen] = scalp[np.asarray(beside)].mean(1)
    return share
