"""Glances: when the eye turns, what the photo shows of the iris at the lids' edges goes, and the white that appears is lit.

Where an eye's opening in the photo is a little larger than the rig's, part of the iris lies in the veil before the eye
(`offline.lift.lids`) and would stay where it is: the eye seems to turn half as far as it does. When the eye turns, that part
takes colour and opacity of the lids next to the iris, at the same distance from their edges.

The white of an eye that looks ahead lies in the corners, in the lids' shadow, and has that shadow in its colour. When the eye
turns, it comes to the middle of the opening, out of the shadow. Reflections on the iris, and what the lids hid of it in the
photo, would turn with it as grey patches: a turned iris has at each distance from its centre the colour of its sides there. Its
centre is where its edge shows in the colours, since the detector's may be a quarter of a radius off.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.looks.face.rest_positions import height_over, landmarks_on, on_part, places_at_rest
from offline.numeric import normalized, ramp
from offline.priors import DARKEST, PATCH
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
# Radii: how far the detected centre of an iris may be off, the annuli inside and outside the edge that are compared, the part
# whose reflections stay (the pupil's), and where the iris ends
_OFF_CENTRE, _STEPS = (0.35, 29)
_INSIDE, _OUTSIDE = ((0.65, 0.95), (1.05, 1.35))
_PUPIL, _IRIS_END = ((0.35, 0.55), (0.95, 1.1))
_RINGS = np.arange(0.4, 1.01, 0.1)
# Least darkness of the iris against the white for its edge to be seen
_CONTRAST = 0.3
_FEWEST = 5  # Gaussians of an annulus at one side that are compared


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
        colors.append(color + _turned_ball(avatar, eye))
        opacities.append(opacity)
    return replace(
        avatar,
        correctives=join(
            avatar.correctives, sparse(components, np.stack(colors), np.stack(opacities))
        ),
    )


def _turned_ball(avatar: Avatar, eye: int) -> Float64Array:
    """Changes of colours (G, 3) of a turned eyeball: an even iris, and a white out of the shadow of the corners.

    eye: 0 left, 1 right.
    """
    rig = avatar.rig
    ball = np.flatnonzero(on_part(avatar, EYES[eye]))
    out = normalized(places_at_rest(avatar)[ball].astype(np.float64) - rig.eye_centers[eye])
    marks = landmarks_on(avatar, rig.vertices).astype(np.float64)[list(_IRISES[eye])]
    radius = float(np.linalg.norm(marks[1:] - marks[0], axis=1).mean()) / rig.eye_radius
    angle = np.arctan2(np.linalg.norm(out[:, :2], axis=1), out[:, 2]) / radius
    flat = normalized(out[:, :2]) * angle[:, None]
    colors = avatar.colors[ball].astype(np.float64)
    centre = iris_centre(flat, colors.mean(1))
    flat[:, 0] -= centre or 0.0
    ring, beside = np.linalg.norm(flat, axis=1), np.abs(flat[:, 0]) > np.abs(flat[:, 1])
    grey = colors.mean(1, keepdims=True)
    lit = np.clip(_LIT * (grey + _TINTED * (colors - grey)), 0, _WHITEST)
    changes = ramp(ring, _NEAR_IRIS, _CORNER)[:, None] * np.maximum(lit - colors, 0)
    if centre is not None and beside.sum() > PATCH * len(_RINGS):
        share = ramp(ring, *_PUPIL) * (1 - ramp(ring, *_IRIS_END))
        changes += share[:, None] * (_even_iris(ring, beside, colors) - colors)
    whole = np.zeros((len(avatar), 3))
    whole[ball] = changes
    return whole


def iris_centre(flat: Float64Array, brightness: Float64Array) -> float | None:
    """How far the iris lies sideways of the detected centre, in its radii; None where its edge is not seen.

    By the difference of brightness across its edge, on both sides of the eye, where no lid hides it (Daugman 1993, "High
    confidence visual recognition of persons", section III, with a known radius). flat: (N, 2) radii; brightness: (N,).
    """

    def edge(offset: float) -> float:
        along = flat[:, 0] - offset
        ring, total = np.hypot(along, flat[:, 1]), 0.0
        for side in (1, -1):
            sector = side * along > np.abs(flat[:, 1])
            inner, outer = (
                brightness[sector & (ring > near) & (ring < far)]
                for near, far in (_INSIDE, _OUTSIDE)
            )
            if min(len(inner), len(outer)) >= _FEWEST:
                total += 0.5 * (1 - float(inner.mean()) / max(float(outer.mean()), DARKEST))
        return total

    best = max(np.linspace(-_OFF_CENTRE, _OFF_CENTRE, _STEPS).tolist(), key=edge)
    return best if edge(best) > _CONTRAST and abs(best) < _OFF_CENTRE else None


def _even_iris(ring: Float64Array, beside: BoolArray, colors: Float64Array) -> Float64Array:
    """Colours (N, 3) of an iris by the distance from its centre alone: those at its sides, without reflections and shadow.

    ring: (N,) radii; beside: (N,) whether at the side; colors: (N, 3).
    """
    table = []
    for middle in _RINGS:
        near = np.flatnonzero(beside)[np.argsort(np.abs(ring[beside] - middle))[: 2 * PATCH]]
        order = near[np.argsort(colors[near].mean(1))]
        table.append(colors[order[len(order) // 3 : 2 * len(order) // 3]].mean(0))
    return np.stack([np.interp(ring, _RINGS, np.array(table)[:, k]) for k in range(3)], 1)


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
