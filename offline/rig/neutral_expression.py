"""The face at rest, from a photo that shows it moved: what a smile did to the mouth goes to the smile, not to the person.

A fit explains landmarks by identity, by the 52 actions, and by a residual. The residual of a smiling mouth is mostly how this
person smiles; and lips of a rig that open without rolling out are too thick once they are closed. So the mouth at rest gets
offsets of its own, and the actions that the photo shows take them back, such that under the photo's expression nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

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
# Sum of the actions' squares from which the photo says nothing of the mouth at rest
_FULLY_MOVED = 0.8
_OWN = 0.2  # share of the mouth's residual that is the person's in any expression
_REACH = 0.012  # metres from the lips at which that has fallen to exp(-1/2)
# Heights of the closed lips' red at its middle over the mouth's width, at most; fitted to five portraits with closed mouths
# they are 0.12 to 0.15 and 0.15 to 0.20; on the rig's average head 0.20 and 0.24.
_UPPER_LIP, _LOWER_LIP = 0.15, 0.18
# Metres: skin goes with the part of the lips' edge this near, and stays beyond
_FOLLOWS, _FADES = (0.004, 0.008)
_NOTHING = 2e-5  # metres; smaller moves are left out
_LID_FADES = 0.004  # metres above the lid's edge within which skin comes down with it
_MOST_BLINK = 0.5  # of a photo from which a blink is still learned
_SHUT_AT = 0.8  # of a blink at which the lids' edges meet: the detector's scores for shut eyes are 0.65 to 0.8
_LIDS_BEFORE = 0.0012  # metres by which the upper lid's edge lies before the lower one's then
_NOSE_BASE, _LIP_MIDDLES = 2, (0, 17)
_MOUTH_CORNERS = lm.OUTER_LIP_CORNERS


def smile_of(expression: FloatArray) -> float:
    """Strength, [0, 1], of the folds next to the mouth under an expression (52,)."""
    strength = np.asarray(expression, np.float64)[list(indices(_FOLDED_BY))].reshape(-1, 2).max(0)
    return float(np.clip(strength.mean() / _FULLY_FOLDED, 0, 1))


@dataclass(frozen=True, eq=False)
class Relaxation:
    """What the mouth at rest has, and the photo's expression takes back."""

    offsets: Float32Array
    """(478, 3) metres, head frame, of the landmarks at rest."""
    shares: Float32Array
    """(52,) of them that each action takes back at full strength; 1 in all under the photo's expression, or none where the photo
    shows the mouth at rest."""

    def under(self, expression: FloatArray) -> Float32Array:
        """What is left of the offsets under an expression (52,)."""
        return (self.offsets * (1 - expression @ self.shares)).astype(np.float32)


def relaxation(fit: PhotoFit) -> Relaxation:
    """How the mouth differs at rest from what identity and residual of a photo's fit say."""
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
    """The rig whose blinks close its eyes, and that under the photo's expression stays as it is.

    spread_ids: (U,) vertices that follow landmarks; spread: (U, 478) how far.
    """
    vertices, actions = rig.vertices.copy(), rig.actions.copy()
    for blink, missing in closing_lids(fit, model):
        shown = min(float(fit.expression[blink]), _MOST_BLINK)
        moves = spread.astype(np.float32) @ missing / (1 - shown)
        moves[np.linalg.norm(moves, axis=1) < _NOTHING] = 0
        actions[blink, spread_ids] += moves
        vertices[spread_ids] -= float(fit.expression[blink]) * moves
    return replace(rig, vertices=vertices, actions=actions)


def at_rest(
    rig: HeadRig, relaxed: Relaxation, spread_ids: Int32Array, spread: FloatArray
) -> HeadRig:
    """The rig with the mouth at rest, and with actions that take the offsets back.

    spread_ids: (U,) vertices that follow landmarks; spread: (U, 478) how far.
    """
    moves = spread.astype(np.float32) @ relaxed.offsets
    moves[np.linalg.norm(moves, axis=1) < _NOTHING] = 0
    vertices, actions = rig.vertices.copy(), rig.actions.copy()
    vertices[spread_ids] += moves
    for action in np.nonzero(relaxed.shares)[0]:
        actions[action, spread_ids] -= relaxed.shares[action] * moves
    return replace(rig, vertices=vertices, actions=actions)


def near_lips(points: FloatArray) -> FloatArray:
    """(478,) 1 on the lips, 0 far from them and above the nose's base. points: (478, 3)."""
    distance = np.linalg.norm(points[:, None, :2] - points[None, list(lm.LIPS), :2], axis=2).min(1)
    near = np.exp(-0.5 * (distance / _REACH) ** 2) * (points[:, 1] < points[_NOSE_BASE, 1])
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
    scale = np.where(
        height > 0,
        min(1.0, _UPPER_LIP * width / max(upper, 1e-6)),
        min(1.0, _LOWER_LIP * width / max(lower, 1e-6)),
    )
    offsets = np.zeros((lm.LANDMARK_COUNT, 3))
    lips = list(lm.LIPS)
    offsets[lips, 1] = ((scale - 1) * height)[lips]
    beside = np.setdiff1d(np.arange(lm.LANDMARK_COUNT), (*lips, *lm.IRIS))
    edge = [*lm.OUTER_LIP_UPPER, *lm.OUTER_LIP_LOWER, *lm.OUTER_LIP_CORNERS]
    offsets[beside] = _following(points[beside], points[edge], offsets[edge], _FADES)
    return offsets


def _following(
    points: FloatArray, edge: FloatArray, offsets: FloatArray, fades: float
) -> FloatArray:
    """(N, 3) offsets of points (N, 3) near an edge (E, 3) that moves by offsets (E, 3), decaying over `fades` metres."""
    distance = np.linalg.norm(points[:, None] - edge[None], axis=2)
    nearest = distance.min(1, keepdims=True)
    weight = np.exp((nearest - distance) / _FOLLOWS)
    return np.exp(-0.5 * (nearest / fades) ** 2) * (weight @ offsets) / weight.sum(1, keepdims=True)


def closing_lids(fit: PhotoFit, model: LandmarkModel) -> list[tuple[int, Float32Array]]:
    """For each blink, its action and what it must do beyond so that the lids' edges meet from corner to corner.

    By itself the rig's blink leaves eyes open that are wider than identity says, and lets the outer half of most upper lids hang
    3 mm below the lower ones. Returns the actions' numbers and landmark offsets (478, 3) metres at full strength.
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
        missing[above] = _following(personal[above], personal[edge], missing[edge], _LID_FADES)
        found.append((blink, missing.astype(np.float32)))
    return found
