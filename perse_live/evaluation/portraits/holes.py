"""Holes: transparency inside the head's outline."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from perse_live.arrays import BoolArray
from perse_live.avatar import Avatar
from perse_live.evaluation.portraits.views import EYE_DISTANCE, View

_RIM = 0.05  # eye distances by which the head's outline is drawn in: its soft rim is no hole
_HEAD = 0.5  # head weight from which a triangle is the head's


def holes(avatar: Avatar, turned: Sequence[View]) -> float:
    """The mean of 1 - alpha inside the rig's outline, percent, mean over the views.

    The outline is that of the rig's triangles that turn with the head, drawn in by 0.05 eye distances.
    """
    return float(
        100 * np.mean([(1 - one.alpha)[inside_head(avatar, one)].mean() for one in turned])
    )


def inside_head(avatar: Avatar, seen: View) -> BoolArray:
    """(H, W) pixels well inside the head's outline."""
    rows = np.flatnonzero(seen.triangles)
    follows = avatar.rig.head_weights[avatar.rig.triangles[rows]].min(1) > _HEAD
    covered = seen.mesh.covered & follows[np.maximum(seen.mesh.triangle_ids, 0)]
    size = 2 * round(_RIM * EYE_DISTANCE) + 1
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.asarray(cv2.erode(covered.astype(np.uint8), ellipse), np.uint8) > 0
