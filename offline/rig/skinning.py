"""Skinning weights: how much a point of the person follows the head when it turns on the shoulders."""

from __future__ import annotations

import numpy as np

from offline.numeric import ramp
from offline.rig.template_regions import NECK_ELLIPSE, neck_radius
from perse_live.arrays import Float32Array, FloatArray

_FRONT = (-0.135, 0.03)  # y, z of the slanted border between head and neck, below the chin
_SLOPE = -0.333  # dy/dz of that border: it rises towards the nape
_NECK_LENGTH = 0.085  # metres below the border over which the turn dies away


def head_weights(points: FloatArray) -> Float32Array:
    """One field for skin and hair alike, so that neither pierces the other.

    points: (N, 3) metres, head frame of the photo. Returns (N,): 1 on the head, 0 on the shoulders, smooth between; far from the
    neck's axis the change is steeper, so that shirts stay where they are.
    """
    y, z = points[:, 1], points[:, 2]
    above = y - (_FRONT[0] + _SLOPE * (z - _FRONT[1]))
    follow = ramp(above, -_NECK_LENGTH, 0.0)
    radius = neck_radius(points, depth_scale=NECK_ELLIPSE)
    aside = ramp(radius, 0.075, 0.125) * (1 - ramp(above, -0.03, 0.0))
    return (follow * (1 - aside)).astype(np.float32)
