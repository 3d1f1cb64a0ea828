"""Lips that part stick together near the corners, and come apart from the middle outwards as the jaw opens further.

The rig parts the lips along their whole width at once. A component moves the edges of both lips towards each other while the jaw
is barely open: fully next to the corners, not at all in the middle. It ceases as the jaw opens.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offline.looks.face.rest_positions import along_line, landmarks_on, on_part, surface_places
from offline.numeric import ramp
from perse_live.arrays import FloatArray
from perse_live.avatar import Avatar
from perse_live.correctives import Component, bump, join, offsets_in_binding, sparse
from perse_live.head.expressions import expression, index
from perse_live.head.landmarks import (
    INNER_LIP_CORNERS,
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
)
from perse_live.head.rig import Part, expressed

# jawOpen up to which the corners' sides stick, and at which lips are apart along their whole width
_STICK, _APART = 0.1, 0.24
# Shares of half the mouth's width from the middle: up to where lips do not stick, and from where they do
_FREE, _STUCK = 0.5, 0.85
_REACH = (
    0.001,
    0.010,
)  # metres from the lips' inner edge within which skin follows it, and beyond which it stays
_UPPER_SHARE = 0.35  # of the gap that the upper lip closes; the lower one, which the jaw has moved, closes the rest
_SHOWN_CLOSED = 0.03  # jawOpen in the photo above which it shows how far its lips have parted


def with_sticking_lips(avatar: Avatar) -> Avatar:
    """The avatar with a component that keeps lips together near the corners while the jaw begins to open.

    A photo whose jaw is a little open shows how its lips part, and stays as it is.
    """
    if _SHOWN_CLOSED < avatar.source.expression[index("jawOpen")] < _APART:
        return avatar
    parted = expressed(avatar.rig, expression(jawOpen=_STICK))
    marks = landmarks_on(avatar, parted).astype(np.float64)
    corners = marks[list(INNER_LIP_CORNERS)]
    upper, lower = (
        np.concatenate([corners[:1], marks[list(edge)], corners[1:]])
        for edge in (INNER_LIP_UPPER, INNER_LIP_LOWER)
    )
    places = surface_places(avatar, parted).astype(np.float64)
    (to_upper, _), (to_lower, _) = along_line(places, upper), along_line(places, lower)
    is_upper = to_upper < to_lower
    follow = 1 - ramp(np.minimum(to_upper, to_lower), *_REACH)
    rows = np.flatnonzero((follow > 0) & on_part(avatar, Part.SKIN)[: len(places)])
    if not len(rows):
        return avatar
    middle = corners.mean(0)
    half = float(np.linalg.norm(corners[1] - corners[0])) / 2
    stuck = ramp(np.abs(places[rows, 0] - middle[0]) / half, _FREE, _STUCK)
    gap = _at(places[rows, 0], lower) - _at(places[rows, 0], upper)
    share = np.where(is_upper[rows], _UPPER_SHARE, _UPPER_SHARE - 1)
    moves = (follow[rows] * stuck * share)[:, None] * gap
    offsets = np.zeros((1, len(avatar), 3))
    offsets[0, rows] = offsets_in_binding(
        replace(avatar.rig, vertices=parted),
        avatar.surface,
        rows.astype(np.int32),
        moves.astype(np.float32),
    )
    component = Component("lips-stick", (bump("jawOpen", 0.0, _STICK, _APART),))
    made = sparse([component], 0 * offsets, np.zeros((1, len(avatar))), offsets)
    return replace(avatar, correctives=join(avatar.correctives, made))


def _at(x: FloatArray, line: FloatArray) -> FloatArray:
    """Height and depth of a polyline (K, 3) at places x (N,), as moves (N, 3) without a sideways part."""
    order = np.argsort(line[:, 0])
    height, depth = (np.interp(x, line[order, 0], line[order, axis]) for axis in (1, 2))
    return np.stack([0 * x, height, depth], 1)
