"""The tongue's tip in "th" and "l": between the rows of teeth, or behind the upper one, while the tongue comes out a little.

The rig's `tongueOut` moves the tongue straight forward along the floor of the mouth, where the lower teeth hide it. ARKit has no
action for a raised tip, so the strength of `tongueOut` tells which sound it is: up to 0.2 the tip rises to the edges of the upper
teeth, at 0.4 it lies between the rows, and far out the tongue passes over the lower lip as the rig moves it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offline.looks.face.rest_positions import on_part, surface_places
from offline.numeric import ramp
from perse_live.arrays import Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.correctives import Component, Curve, join, offsets_in_binding, sparse
from perse_live.head.expressions import expression
from perse_live.head.rig import HeadRig, Part, expressed, vertices_of

# Strengths of jaw and tongue in "l" and in "th"
_L, _TH = ({"jawOpen": 0.25, "tongueOut": 0.2}, {"jawOpen": 0.18, "tongueOut": 0.4})
_FAR_OUT = 0.9  # of tongueOut from which the tip is where the rig has it
_RISES = 0.024  # metres behind the tip over which the tongue rises to it
_FORWARD = 0.35  # of the rise, by how much the tip comes forward too
_BELOW_EDGE = {
    "l": 0.0005,
    "th": 0.0015,
}  # metres from the upper teeth's edge down to the tip's upper side
_INCISORS = 0.006  # metres from the midline
_MOST, _LEAST_SHARE = (0.018, 0.15)  # metres of the rise; share of the rise in "l" at least in "th"


def with_tongue_tip(avatar: Avatar) -> Avatar:
    """The avatar with a component that raises the tongue's tip."""
    rig = avatar.rig
    tongue = np.flatnonzero(on_part(avatar, Part.TONGUE))
    if not len(tongue) or not vertices_of(rig, Part.TEETH_UPPER).any():
        return avatar
    posed = expressed(rig, expression(**_L))
    places = surface_places(avatar, posed)[tongue].astype(np.float64)
    rise = _missing_rise(rig, posed, _BELOW_EDGE["l"])
    if rise <= 0:
        return avatar
    at_tip = 1 - ramp(places[:, 2].max() - places[:, 2], 0.0, _RISES)
    raised = (rise * at_tip)[:, None] * np.array([0.0, 1.0, _FORWARD])
    offsets = np.zeros((1, len(avatar), 3))
    offsets[0, tongue] = offsets_in_binding(
        replace(rig, vertices=posed), avatar.surface, tongue.astype(np.int32), _float32(raised)
    )
    in_th = _missing_rise(rig, expressed(rig, expression(**_TH)), _BELOW_EDGE["th"])
    share = float(np.clip(in_th / rise, _LEAST_SHARE, 1))
    component = Component(
        "tongue-tip",
        (
            Curve(
                "tongueOut",
                ((0.0, 0.0), (_L["tongueOut"], 1.0), (_TH["tongueOut"], 1.0), (_FAR_OUT, 0.0)),
            ),
            Curve("jawOpen", ((0.0, 0.3 * share), (_TH["jawOpen"], share), (_L["jawOpen"], 1.0))),
        ),
    )
    made = sparse([component], 0 * offsets, np.zeros((1, len(avatar))), offsets)
    return replace(avatar, correctives=join(avatar.correctives, made))


def _missing_rise(rig: HeadRig, posed: FloatArray, below: float) -> float:
    """Metres by which the tip of the tongue lies lower than `below` under the upper incisors' edges; posed: (V, 3)."""
    tongue, teeth = posed[vertices_of(rig, Part.TONGUE)], posed[vertices_of(rig, Part.TEETH_UPPER)]
    front = teeth[np.abs(teeth[:, 0]) < _INCISORS]
    tip = tongue[tongue[:, 2] > tongue[:, 2].max() - 0.004]
    edge = float((front if len(front) else teeth)[:, 1].min())
    return min(edge - below - float(tip[:, 1].max()), _MOST)


def _float32(values: FloatArray) -> Float32Array:
    return values.astype(np.float32)
