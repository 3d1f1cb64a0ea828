"""Coordinates on the lids with the eyes closed, where the upper lid is spread out between its lashes and the brow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.looks.face.rest_positions import landmarks_on
from offline.numeric import ramp
from perse_live.arrays import BoolArray, FloatArray
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE

_LEFT = (LEFT_EYE, LEFT_BROW)
_RIGHT = (RIGHT_EYE, RIGHT_BROW)


@dataclass(frozen=True, eq=False)
class LidPlaces:
    """Points around one closed eye, N each."""

    across: FloatArray
    """0 at the inner corner, 1 at the outer one."""
    above: FloatArray
    """Metres above the upper lid's edge."""
    below: FloatArray
    """Metres below the lower lid's edge."""
    to_brow: FloatArray
    """`above` relative to the height of the brow: 0 at the lashes, 1 at the brow's lower edge."""
    upper: BoolArray
    """Whether a point belongs to the upper lid; the edges of closed lids coincide."""
    near: FloatArray
    """1 around the eye, 0 elsewhere."""


def lid_places(
    avatar: Avatar, closed: FloatArray, points: FloatArray, at_rest: FloatArray
) -> tuple[LidPlaces, LidPlaces]:
    """Left and right.

    closed: (V, 3) the rig's vertices with the eyes closed; points: (N, 3) metres, on the skin in the same pose; at_rest: (N, 3)
    the same points with the eyes open.
    """
    marks, open_marks = landmarks_on(avatar, closed), neutral_landmarks(avatar)
    left, right = (
        _around(
            marks[list(eye), :2],
            marks[list(brow[5:]), :2],
            points,
            open_marks[list(eye), :2],
            at_rest,
        )
        for eye, brow in (_LEFT, _RIGHT)
    )
    return left, right


def _around(
    eye: FloatArray, brow: FloatArray, points: FloatArray, open_eye: FloatArray, at_rest: FloatArray
) -> LidPlaces:
    """eye: (16, 2) outer corner, lower lid, inner corner, upper lid; brow: (5, 2) lower edge; points: (N, 3)."""
    outer, inner = eye[0], eye[8]
    width = abs(float(outer[0] - inner[0]))
    across = (points[:, 0] - inner[0]) / (outer[0] - inner[0])

    def height(line: FloatArray) -> FloatArray:
        place = (line[:, 0] - inner[0]) / (outer[0] - inner[0])
        order = np.argsort(place)
        return np.interp(across, place[order], line[order, 1])

    edge = height(np.concatenate([eye[8:], eye[:1]]))
    above = points[:, 1] - edge
    below = height(eye[:9]) - points[:, 1]
    to_brow = above / np.maximum(height(brow) - edge, 0.25 * width)
    near = (
        ramp(across, -0.45, -0.30)
        * (1 - ramp(across, 1.45, 1.6))
        * (np.abs(points[:, 1] - outer[1]) < 1.2 * width)
    )
    seam = (open_eye[1:8] + open_eye[:8:-1]) / 2  # halfway between the open lids, inwards
    line = np.concatenate([open_eye[:1], seam, open_eye[8:9]])
    order = np.argsort(line[:, 0])
    upper = at_rest[:, 1] > np.interp(at_rest[:, 0], line[order, 0], line[order, 1])
    return LidPlaces(across, above, below, to_brow, upper, near * (points[:, 2] > -0.03))
