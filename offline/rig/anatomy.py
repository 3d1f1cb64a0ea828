"""Where on the head things are: lips, brows, scalp, beard ... as weights of the rig's vertices.

Lips, ears and lids were painted by MakeHuman's authors. Brows follow MediaPipe's brow landmarks. Scalp and beard have no
source: they are drawn here on the mean head, with proportions after Farkas, Anthropometry of the Head and Face (1994): the
hairline crosses the forehead about a head's seventh above the brows, recedes at the temples, runs in front of the ears and
around them to the nape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import interp1d
from scipy.spatial import KDTree

from offline.numeric import ramp
from offline.priors import ENOUGH, SAME_PLACE
from offline.rig.anny_head import AnnyHead, chart
from perse_live.arrays import Float32Array, FloatArray
from perse_live.head import landmarks as lm
from perse_live.head.expressions import indices
from perse_live.head.landmarks import LandmarkModel
from perse_live.head.rig import Part

# The hairline seen from the side, on the mean head: height y at depth z (metres, head frame), from the forehead to the nape.
_HAIRLINE = np.array(
    [
        (0.030, 0.066),
        (0.015, 0.064),
        (0.000, 0.058),
        (-0.022, 0.047),
        (-0.040, 0.030),
        (-0.062, 0.005),
        (-0.075, -0.012),
        (-0.088, -0.005),
        (-0.100, -0.025),
        (-0.120, -0.055),
        (-0.150, -0.080),
        (-0.220, -0.085),
    ]
)
# The beard's upper edge likewise, from the upper lip along the cheek to the sideburn; and its lower edge under the jaw.
_BEARD_TOP = np.array(
    [
        (0.040, -0.048),
        (0.020, -0.055),
        (0.005, -0.064),
        (-0.020, -0.058),
        (-0.040, -0.042),
        (-0.060, -0.018),
        (-0.075, 0.000),
        (-0.090, 0.000),
    ]
)
_BEARD_BOTTOM = np.array(
    [
        (0.040, -0.150),
        (0.000, -0.145),
        (-0.030, -0.128),
        (-0.060, -0.100),
        (-0.075, -0.075),
        (-0.090, -0.060),
    ]
)
_LIDS = (0.03, -0.02)  # metres on the mean head: farthest over and under the eyes, and how far back
_BEARD_BACK = -0.082  # behind the sideburns


@dataclass(frozen=True, eq=False)
class HeadCharts:
    """Weights (V,) float32 in [0, 1] of the rig's vertices; the same for everybody, for the numbering is."""

    lips: Float32Array
    """The red of both lips, including the part inside the closed mouth."""
    lip_inner: Float32Array
    """The part of `lips` that the closed mouth hides, and the mouth's lining next to it."""
    ears: Float32Array
    eyelids: Float32Array
    """Vertices that move in a blink: the upper lid up to the crease, the lids' edges and the inner corners."""
    brows: Float32Array
    scalp: Float32Array
    """Region of the hair of the head, without brows and beard."""
    beard: Float32Array
    """Region of a full beard and a moustache."""
    face: Float32Array
    """The face without ears, scalp and throat; wide soft edge."""


def head_charts(head: AnnyHead, mean: FloatArray, model: LandmarkModel) -> HeadCharts:
    """The charts of the rig's numbering.

    mean: (V, 3) vertices of the mean head, as `IdentityModel.mean`; charts drawn on it hold for every identity.
    """
    skin = _used_by(head, Part.SKIN)
    lining = _used_by(head, Part.MOUTH_CAVITY)
    ears, lips = chart(head, "ears") * skin, chart(head, "lips") * (skin | lining)
    # the hidden side of the lips faces backwards or lies behind the line where the lips meet
    to_seam = KDTree(mean[skin & lining]).query(mean)[0]
    lip_inner = (skin | lining) * np.exp(-0.5 * (2 * to_seam / SAME_PLACE) ** 2)
    blinking = np.linalg.norm(head.actions[indices(["eyeBlinkLeft", "eyeBlinkRight"])], axis=2).max(
        0
    )
    # Blinks move a few vertices of jaw and ear, too
    near_eyes = (np.abs(mean[:, 1]) < _LIDS[0]) & (mean[:, 2] > _LIDS[1])
    lids = np.maximum(chart(head, "eyelids"), ramp(blinking, 0.001, 0.004)) * near_eyes
    brows = brow_chart(mean, model.neutral) * skin
    height, depth = mean[:, 1], mean[:, 2]
    scalp = ramp(height - _edge(_HAIRLINE, depth), -SAME_PLACE, SAME_PLACE) * skin * (1 - ears)
    under = ramp(_edge(_BEARD_TOP, depth) - height, -SAME_PLACE, SAME_PLACE)
    over = ramp(height - _edge(_BEARD_BOTTOM, depth), -SAME_PLACE, SAME_PLACE)
    beard = (
        under
        * over
        * ramp(depth, _BEARD_BACK - SAME_PLACE, _BEARD_BACK + SAME_PLACE)
        * skin
        * (1 - ears)
        * (1 - np.clip(lips, 0, 1))
    )
    beard *= 1 - _used_by(head, Part.BODY)

    def weights(values: FloatArray) -> Float32Array:
        return np.clip(values, 0, 1).astype(np.float32)

    return HeadCharts(
        lips=weights(lips),
        lip_inner=weights(lip_inner),
        ears=weights(ears),
        eyelids=weights(lids * skin),
        brows=weights(brows),
        scalp=weights(scalp),
        beard=weights(beard),
        face=weights(chart(head, "face") * skin),
    )


def brow_chart(vertices: FloatArray, landmarks: FloatArray) -> Float32Array:
    """(V,) [0, 1] weight of the brow at each vertex.

    vertices: (V, 3); landmarks: (478, 3) of the same head.
    """
    edges = np.reshape((lm.RIGHT_BROW, lm.LEFT_BROW), (2, 2, -1))  # brow, upper and lower, landmark
    lines = landmarks[edges].mean(1).swapaxes(0, 1)
    steps = np.linspace(0, len(lines) - 1, ENOUGH)
    curve = interp1d(np.arange(len(lines)), lines, axis=0)(steps).reshape(-1, 3)
    distance = KDTree(curve).query(vertices)[0]
    return np.exp(-0.5 * (2 * distance / SAME_PLACE) ** 2).astype(np.float32)


def _used_by(head: AnnyHead, part: Part) -> np.ndarray:
    used = np.zeros(len(head.template), np.bool_)
    used[head.triangles[head.parts == part].reshape(-1)] = True
    return used


def _edge(line: FloatArray, depth: FloatArray) -> FloatArray:
    """Height of a side view's line at each depth."""
    order = np.argsort(line[:, 0])
    return np.interp(depth, line[order, 0], line[order, 1])
