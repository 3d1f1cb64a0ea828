"""Glances: when the eye turns, what the photo shows of the iris at the lids' edges goes, and the white that appears is lit.

Where an eye's opening in the photo is a little larger than the rig's, part of the iris lies in the veil before the eye
(`offline.lift.lids`) and would stay where it is: the eye seems to turn half as far as it does. When the eye turns, that part
takes colour and opacity of the lids next to the iris, at the same distance from their edges.

The white of an eye that looks ahead lies in the corners, in the lids' shadow, and has that shadow in its colour. When the eye
turns, it comes to the middle of the opening, out of the shadow.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.looks.face.rest_positions import height_over, landmarks_on, on_part, places_at_rest
from offline.numeric import ramp
from offline.priors import PATCH
from perse_live.arrays import BoolArray, Float64Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.correctives import Component, Curve, join, sparse
from perse_live.head import landmarks as lm
from perse_live.head.rig import EYES, gaze_rotation
from perse_live.regions import Region

_IRISES = (lm.LEFT_IRIS, lm.RIGHT_IRIS)
_NAMES, _INPUTS = ("left", "right"), ("gazeYawLeft", "gazeYawRight")
# Radians from rest, or from the photo's gaze, between which the iris has left the place
_STILL, _TURNED = (0.08, 0.28)
_WITHIN, _BEYOND = 0.9, 1.25  # radii of the iris: what lies within is its, what lies beyond is not
# Metres above the upper lid's edge, and below the lower one's, up to which the iris is seen
_ABOVE, _BELOW = (0.0012, 0.0028)
# Radii of the iris between which the white has the shadow of an eye's corner
_NEAR_IRIS, _CORNER = (1.15, 1.7)
# Light in the middle of the opening over that in the corners, and how much of its colour the white keeps there: on film of
# three people who look aside, the white is 1.2, 1.4 and 1.4 times as bright as drawn with the corners' colour, and 0.7 to 0.85
# as tinted (docs/measures.md)
_LIT, _TINTED, _WHITEST = (1.28, 0.8, 0.92)


def with_glances(avatar: Avatar) -> Avatar:
    """The avatar with a component for each eye that turns sideways: no iris of the photo at the lids' edges, and a lit white."""
    components, colors, opacities = [], [], []
    for eye in range(2):
        color, opacity = _without_iris(avatar, eye)
        yaw = float(avatar.source.gaze[eye, 0])
        low, high = min(0.0, yaw) - _STILL, max(0.0, yaw) + _STILL
        away = _TURNED - _STILL
        knots = ((low - away, 1.0), (low, 0.0), (high, 0.0), (high + away, 1.0))
        components.append(Component(f"glance-{_NAMES[eye]}", (Curve(_INPUTS[eye], knots),)))
        colors.append(color + _lit_white(avatar, eye))
        opacities.append(opacity)
    return replace(
        avatar,
        correctives=join(
            avatar.correctives, sparse(components, np.stack(colors), np.stack(opacities))
        ),
    )


def _lit_white(avatar: Avatar, eye: int) -> Float64Array:
    """Changes of colours (G, 3) that take the white of an eye out of the shadow of its corners. eye: 0 left, 1 right."""
    rig = avatar.rig
    out = places_at_rest(avatar).astype(np.float64) - rig.eye_centers[eye]
    marks = landmarks_on(avatar, rig.vertices).astype(np.float64)[list(_IRISES[eye])]
    radius = float(np.linalg.norm(marks[1:] - marks[0], axis=1).mean()) / rig.eye_radius
    ring = np.arctan2(np.linalg.norm(out[:, :2], axis=1), out[:, 2]) / radius
    colors = avatar.colors.astype(np.float64)
    grey = colors.mean(1, keepdims=True)
    lit = np.clip(_LIT * (grey + _TINTED * (colors - grey)), 0, _WHITEST)
    share = on_part(avatar, EYES[eye]) * ramp(ring, _NEAR_IRIS, _CORNER)
    return share[:, None] * np.maximum(lit - colors, 0)


def _without_iris(avatar: Avatar, eye: int) -> tuple[Float64Array, Float64Array]:
    """Changes of colours (G, 3) and opacities (G,) that take the iris out of an eye's veil. eye: 0 left, 1 right."""
    places = places_at_rest(avatar).astype(np.float64)
    veil = (
        (avatar.regions == Region.LASHES)
        & (avatar.opacities > 0)
        & ((places[:, 0] > 0) == (eye == 0))
    )
    marks = landmarks_on(avatar, avatar.rig.vertices).astype(np.float64)
    off_edge, upper = _from_edges(places, marks, eye)
    iris = marks[list(_IRISES[eye])]
    radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
    turned = gaze_rotation(avatar.source.gaze[eye])[:, 2]
    middle = avatar.rig.eye_centers[eye] + avatar.rig.eye_radius * turned
    away = np.linalg.norm(places[:, :2] - middle[:2], axis=1) / radius
    reach = off_edge / np.where(upper, _ABOVE, _BELOW)
    share = (1 - ramp(away, _WITHIN, _BEYOND)) * (1 - ramp(reach, 0.5, 1.0)) * veil
    colors, opacities = np.zeros((len(avatar), 3)), np.zeros(len(avatar))
    for lid in (upper, ~upper):
        beside, changed = (
            np.flatnonzero(veil & lid & (away > _BEYOND)),
            np.flatnonzero((share > 0) & lid),
        )
        if len(beside) < PATCH or not len(changed):
            continue
        alike = beside[
            np.asarray(KDTree(off_edge[beside, None]).query(off_edge[changed, None], k=PATCH)[1])
        ]
        weights = avatar.opacities[alike][..., None].astype(np.float64)
        color = (weights * avatar.colors[alike]).sum(1) / weights.sum(1)
        colors[changed] = share[changed, None] * (color - avatar.colors[changed])
        opacities[changed] = share[changed] * (
            avatar.opacities[alike].mean(1) - avatar.opacities[changed]
        )
    return colors, opacities


def _from_edges(places: FloatArray, marks: FloatArray, eye: int) -> tuple[Float64Array, BoolArray]:
    """How far outside the opening places (N, 3) lie from the nearer lid's edge, metres, and whether that is the upper one."""
    above = height_over(marks[list(lm.UPPER_LID_EDGES[eye])], places)
    below = -height_over(marks[list(lm.LOWER_LID_EDGES[eye])], places)
    return np.maximum(above, below), above > below
