"""The face at rest, from a photo with an expression: displacements by a smile are assigned to the smile, not to the person.

A fit explains landmarks by identity, by the 52 actions, and by a residual. The residual of a smiling mouth is mostly how this
person smiles; and lips of a rig that open without rolling out are too thick once they are closed. So the mouth at rest gets
additional offsets, and the actions in the photo compensate them, such that under the photo's expression nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offline.rig.landmark_moves import NEAR_EDGE, follow_edge, vertex_moves
from offline.rig.lip_shapes import BESIDE_LIPS
from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.head import landmarks as lm
from perse_live.head.expressions import EXPRESSION_COUNT, EXPRESSION_NAMES, index, indices
from perse_live.head.fit import PhotoFit, personal_shape
from perse_live.head.landmarks import LandmarkModel
from perse_live.head.rig import HeadRig

_MOVED_BY = (
    "jawOpen",
    "mouthDimple",
    "mouthFunnel",
    "mouthLowerDown",
    "mouthSmile",
    "mouthStretch",
    "mouthUpperUp",
)
_FOLDED_BY = ("mouthSmileLeft", "mouthSmileRight", "mouthUpperUpLeft", "mouthUpperUpRight")
_FULLY_FOLDED = 0.6  # strength of smile or raised lip from which folds are entirely its effect
# Sum of the actions' squares from which the photo gives no evidence of the mouth at rest
_FULLY_MOVED = 0.8
_OWN = 0.2  # fraction of the mouth's residual that holds in every expression
# Heights of the closed lips' red at its middle over the mouth's width, at most; fitted to five portraits with closed mouths
# they are 0.12 to 0.15 and 0.15 to 0.20; on the rig's average head 0.20 and 0.24.
_UPPER_LIP, _LOWER_LIP = 0.15, 0.18
_MOST_BLINK = 0.5  # largest blink in a photo from which blinks are estimated
_SHUT_AT = 0.8  # of a blink at which the lids' edges meet: the detector's scores for shut eyes are 0.65 to 0.8
_LIDS_BEFORE = 0.0012  # metres by which the upper lid's edge is in front of the lower one's then
_NOSE_BASE, _LIP_MIDDLES = 2, (0, 17)
_MOUTH_CORNERS = lm.OUTER_LIP_CORNERS


def smile_of(expression: FloatArray) -> float:
    """Strength, [0, 1], of the folds next to the mouth under an expression (52,)."""
    strength = np.asarray(expression, np.float64)[list(indices(_FOLDED_BY))].reshape(-1, 2).max(0)
    return float(np.clip(strength.mean() / _FULLY_FOLDED, 0, 1))


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Offsets of the mouth at rest, which the photo's expression compensates."""

    offsets: Float32Array
    """(478, 3) metres, head frame, of the landmarks at rest."""
    shares: Float32Array
    """(52,) fraction that each action at 1 compensates; their sum is 1 under the photo's expression, or 0 where the photo shows
    the mouth at rest."""

    def under(self, expression: FloatArray) -> Float32Array:
        """The remaining offsets under an expression (52,)."""
        return (self.offsets * (1 - expression @ self.shares)).astype(np.float32)


def relaxation(fit: PhotoFit) -> Relaxation:
    """The offsets of the mouth at rest from identity and residual of a photo's fit."""
    expression = fit.frame.expression.astype(np.float64)
    moved_by = np.array(
        [name.removesuffix("Left").removesuffix("Right") in _MOVED_BY for name in EXPRESSION_NAMES]
    )
    active = np.where(moved_by, expression, 0.0)
    power = float((active**2).sum())
    if power == 0:
        return Relaxation(
            np.zeros((lm.LANDMARK_COUNT, 3), np.float32), np.zeros(EXPRESSION_COUNT, np.float32)
        )
    points = personal_shape(fit).neutral_landmarks.astype(np.float64)
    forgotten = -(1 - _OWN) * near_lips(points)[:, None] * fit.frame.residual
    offsets = forgotten + _thinner_lips(points + forgotten)
    return Relaxation(
        (min(power / _FULLY_MOVED, 1.0) * offsets).astype(np.float32),
        (active / power).astype(np.float32),
    )


def with_closing_lids(
    rig: HeadRig, fit: PhotoFit, model: LandmarkModel, spread_ids: Int32Array, spread: FloatArray
) -> HeadRig:
    """The rig with blinks that close its eyes; unchanged under the photo's expression.

    spread_ids: (U,) vertices that follow landmarks; spread: (U, 478) their weights.
    """
    vertices, actions = rig.vertices.copy(), rig.actions.copy()
    for blink, missing in closing_lids(fit, model):
        shown = min(float(fit.expression[blink]), _MOST_BLINK)
        moves = vertex_moves(spread, missing / (1 - shown))
        actions[blink, spread_ids] += moves
        vertices[spread_ids] -= float(fit.expression[blink]) * moves
    return replace(rig, vertices=vertices, actions=actions)


def at_rest(
    rig: HeadRig, relaxed: Relaxation, spread_ids: Int32Array, spread: FloatArray
) -> HeadRig:
    """The rig with the mouth at rest, and with actions that compensate the offsets.

    spread_ids: (U,) vertices that follow landmarks; spread: (U, 478) their weights.
    """
    moves = vertex_moves(spread, relaxed.offsets)
    vertices, actions = rig.vertices.copy(), rig.actions.copy()
    vertices[spread_ids] += moves
    for action in np.nonzero(relaxed.shares)[0]:
        actions[action, spread_ids] -= relaxed.shares[action] * moves
    return replace(rig, vertices=vertices, actions=actions)


def near_lips(points: FloatArray) -> FloatArray:
    """(478,) 1 on the lips, 0 far from them and above the nose's base. points: (478, 3)."""
    distance = np.linalg.norm(points[:, None, :2] - points[None, list(lm.LIPS), :2], axis=2).min(1)
    near = np.exp(-0.5 * (distance / BESIDE_LIPS) ** 2) * (points[:, 1] < points[_NOSE_BASE, 1])
    near[list(lm.IRIS)] = 0
    return near


def _thinner_lips(points: FloatArray) -> FloatArray:
    """(478, 3) offsets that bring the lips' height into the range of closed lips; the surrounding skin follows.

    points: (478, 3) landmarks at rest.
    """
    right, left = points[_MOUTH_CORNERS[0]], points[_MOUTH_CORNERS[1]]
    seam = np.concatenate(
        [
            points[[lm.INNER_LIP_CORNERS[0]]],
            (points[list(lm.INNER_LIP_UPPER)] + points[list(lm.INNER_LIP_LOWER)]) / 2,
            points[[lm.INNER_LIP_CORNERS[1]]],
        ]
    )
    seam = seam[np.argsort(seam[:, 0])]
    height = points[:, 1] - np.interp(points[:, 0], seam[:, 0], seam[:, 1])
    width = float(np.linalg.norm(left - right))
    upper, lower = (abs(float(height[middle])) for middle in _LIP_MIDDLES)
    most = width * np.where(height > 0, _UPPER_LIP / upper, _LOWER_LIP / lower)
    scale = np.minimum(most, 1)
    offsets = np.zeros((lm.LANDMARK_COUNT, 3))
    lips = list(lm.LIPS)
    offsets[lips, 1] = ((scale - 1) * height)[lips]
    beside = np.setdiff1d(np.arange(lm.LANDMARK_COUNT), (*lips, *lm.IRIS))
    edge = [*lm.OUTER_LIP_UPPER, *lm.OUTER_LIP_LOWER, *lm.OUTER_LIP_CORNERS]
    offsets[beside] = follow_edge(points[beside], points[edge], offsets[edge], BESIDE_LIPS)
    return offsets


def closing_lids(fit: PhotoFit, model: LandmarkModel) -> list[tuple[int, Float32Array]]:
    """For each blink, its action and the correction with which the lids' edges meet from corner to corner.

    The rig's blink does not close eyes that are wider than the identity's, and moves the outer half of most upper lids 3 mm below
    the lower ones. Returns the actions' numbers and landmark offsets (478, 3) metres at full strength.
    """
    personal = personal_shape(fit).neutral_landmarks.astype(np.float64)
    found = []
    for name, upper, lower in (
        ("eyeBlinkRight", lm.UPPER_LID_RIGHT, lm.LOWER_LID_RIGHT),
        ("eyeBlinkLeft", lm.UPPER_LID_LEFT, lm.LOWER_LID_LEFT),
    ):
        blink = index(name)
        edge, other = list(upper), list(lower)
        closed = personal + model.actions[blink]
        missing = np.zeros((lm.LANDMARK_COUNT, 3))
        along = closed[other][np.argsort(closed[other, 0])]
        height, depth = (np.interp(closed[edge, 0], along[:, 0], along[:, axis]) for axis in (1, 2))
        overlap = (1 / _SHUT_AT - 1) * np.maximum(personal[edge, 1] - personal[other, 1], 0)
        missing[edge, 1] = height - overlap - closed[edge, 1]
        missing[edge, 2] = np.maximum(depth + _LIDS_BEFORE - closed[edge, 2], 0)
        above = np.setdiff1d(np.arange(lm.LANDMARK_COUNT), (*lm.LEFT_EYE, *lm.RIGHT_EYE, *lm.IRIS))
        above = above[personal[above, 1] > personal[edge, 1].mean()]
        missing[above] = follow_edge(personal[above], personal[edge], missing[edge], NEAR_EDGE)
        found.append((blink, missing.astype(np.float32)))
    return found
