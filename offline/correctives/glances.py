"""Glances: what the photo shows of the iris at the lids' edges goes when the eye turns.

Where an eye's opening in the photo is a little larger than the rig's, part of the iris lies in the veil before the eye
(`offline.lift.lids`) and would stay where it is: the eye seems to turn half as far as it does. When the eye turns, that part
takes colour and opacity of the lids next to the iris, at the same distance from their edges.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.looks.face.rest_positions import landmarks_on, places_at_rest
from offline.numeric import ramp
from perse_live.arrays import BoolArray, Float64Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.correctives import Component, Curve, join, sparse
from perse_live.head import landmarks as lm
from perse_live.head.rig import gaze_rotation
from perse_live.regions import Region

_LIDS = (
    ((263, *lm.UPPER_LID_LEFT, 362), (263, *lm.LOWER_LID_LEFT, 362)),
    ((33, *lm.UPPER_LID_RIGHT, 133), (33, *lm.LOWER_LID_RIGHT, 133)),
)  # upper, lower edge; left, right eye
_IRISES = (lm.LEFT_IRIS, lm.RIGHT_IRIS)
_NAMES, _INPUTS = ("left", "right"), ("gazeYawLeft", "gazeYawRight")
# Radians from rest, or from the photo's gaze, between which the iris has left the place
_STILL, _TURNED = (0.05, 0.20)
_WITHIN, _BEYOND = 0.9, 1.25  # radii of the iris: what lies within is its, what lies beyond is not
_ABOVE = 0.0012  # metres above the upper lid's edge, or below the lower one's, up to which the iris is seen
# Samples next to the iris from which the lids' appearance is taken, and their least number
_ALIKE, _FEWEST = (16, 30)


def with_glances(avatar: Avatar) -> Avatar:
    """The avatar with a component for each eye that frees the lids' edges of the photo's iris when the eye turns sideways."""
    components, colors, opacities = [], [], []
    for eye in range(2):
        color, opacity = _without_iris(avatar, eye)
        yaw = float(avatar.source.gaze[eye, 0])
        low, high = min(0.0, yaw) - _STILL, max(0.0, yaw) + _STILL
        away = _TURNED - _STILL
        knots = ((low - away, 1.0), (low, 0.0), (high, 0.0), (high + away, 1.0))
        components.append(Component(f"glance-{_NAMES[eye]}", (Curve(_INPUTS[eye], knots),)))
        colors.append(color)
        opacities.append(opacity)
    return replace(
        avatar,
        correctives=join(
            avatar.correctives, sparse(components, np.stack(colors), np.stack(opacities))
        ),
    )


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
    share = (1 - ramp(away, _WITHIN, _BEYOND)) * (1 - ramp(off_edge, 0.5 * _ABOVE, _ABOVE)) * veil
    colors, opacities = np.zeros((len(avatar), 3)), np.zeros(len(avatar))
    for lid in (upper, ~upper):
        beside, changed = (
            np.flatnonzero(veil & lid & (away > _BEYOND)),
            np.flatnonzero((share > 0) & lid),
        )
        if len(beside) < _FEWEST or not len(changed):
            continue
        alike = beside[
            np.asarray(KDTree(off_edge[beside, None]).query(off_edge[changed, None], k=_ALIKE)[1])
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
    heights = []
    for line in _LIDS[eye]:
        edge = marks[list(line)]
        edge = edge[np.argsort(edge[:, 0])]
        heights.append(np.interp(places[:, 0], edge[:, 0], edge[:, 1]))
    above, below = places[:, 1] - heights[0], heights[1] - places[:, 1]
    upper = places[:, 1] > (heights[0] + heights[1]) / 2
    return np.where(upper, above, below), upper
