"""How far each eye is open; correction of winks, which the detector reports as a half-closed eye.

The detector's face mesh couples the eyes: where one is closed and the other open, it places the lids of the closed one a quarter
of the way apart, and its blink score stops at 0.5. Renderings of four avatars and a filmed wink agree on that (`_SHUT_SEEN`,
`_OPEN_SEEN`), so that it can be undone. The open eye is not changed: in the film it really is narrowed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from perse_live.camera import Camera
from perse_live.detect import Detection
from perse_live.head import landmarks as lm
from perse_live.head.expressions import indices

_UPPER = np.array([lm.UPPER_LID_LEFT, lm.UPPER_LID_RIGHT])  # (2, 7) left, right eye
_LOWER = np.array([lm.LOWER_LID_LEFT, lm.LOWER_LID_RIGHT])
_MIDDLE = slice(1, 6)  # of the seven pairs: those next to the corners hardly move
_BLINKS = indices(["eyeBlinkLeft", "eyeBlinkRight"])
_SQUINTS = indices(["eyeSquintLeft", "eyeSquintRight"])
# Openings that the detector sees of a shut and of an open eye side by side
_SHUT_SEEN, _OPEN_SEEN = (0.27, 0.76)
# Between both openings: from where a wink is believed, partly and fully
_MIN_DIFFERENCE, _SURE_DIFFERENCE = (0.18, 0.36)
# Openings between which an eye is neither clearly shut nor clearly open
_HALF_SHUT, _OPEN = (0.45, 0.65)
# Turns of the head up to which it is believed fully, and from which not at all
_FRONTAL_DEGREES, _TURNED_DEGREES = (18.0, 32.0)
_SQUINT_CLOSES = 0.28  # blink that narrows the rig's eyes as much as a full squint does
_SHUT_BLINK = 0.8  # at which the avatars' lids meet (`offline.rig.neutral_expression`)


def lid_opening(
    landmarks: FloatArray,
    R_cam_head: FloatArray,
    t_cam_head: FloatArray,
    camera: Camera,
    neutral_landmarks: FloatArray,
) -> Float32Array:
    """How far apart the lids' edges are, as a share of what the same pose shows of the face at rest.

    landmarks: (478, 2 or 3) pixels; neutral_landmarks: (478, 3) metres, head frame. Returns (2,) left and right eye: 1 at rest,
    0 shut.
    """
    at_rest = camera.project(neutral_landmarks @ R_cam_head.T + t_cam_head)
    return (_gap(landmarks[:, :2]) / np.maximum(_gap(at_rest), 1e-6)).astype(np.float32)


def without_coupling(
    found: Detection, opening: FloatArray, usual: FloatArray, R_cam_head: FloatArray
) -> Detection:
    """A detection whose lids and scores say of a wink what each eye does; the same object where there is no wink.

    opening: (2,) as from `lid_opening`; usual: (2,) what that is of the person while the eyes are open, > 0.
    """
    seen = np.asarray(opening, np.float64) / usual
    shut, other = (0, 1) if seen[0] < seen[1] else (1, 0)
    difference = float(min(seen[other], 1.0) - seen[shut])
    turn = float(np.degrees(np.arccos(np.clip(-R_cam_head[2, 2], -1, 1))))
    share = (
        _ramp(difference, _MIN_DIFFERENCE, _SURE_DIFFERENCE)
        * _ramp(float(seen[other]), _HALF_SHUT, _OPEN)
        * (1 - _ramp(float(seen[shut]), _HALF_SHUT, _OPEN))
        * (1 - _ramp(turn, _FRONTAL_DEGREES, _TURNED_DEGREES))
    )
    if share == 0:
        return found
    apart = share * difference / (_OPEN_SEEN - _SHUT_SEEN)  # how far both openings really differ
    meant = max(seen[shut] - _SHUT_SEEN * apart, 0.0)
    landmarks, scores = found.landmarks.copy(), found.blendshapes.copy()
    middle = (landmarks[_UPPER[shut]] + landmarks[_LOWER[shut]]) / 2  # where the lids meet
    for edge in (_UPPER[shut], _LOWER[shut]):
        landmarks[edge] = middle + (landmarks[edge] - middle) * np.float32(
            meant / max(seen[shut], 1e-3)
        )
    score = scores[_BLINKS[shut]]
    closed = _SHUT_BLINK * (1 - meant) - _SQUINT_CLOSES * scores[_SQUINTS[shut]]
    scores[_BLINKS[shut]] = max(score + share * (closed - score), score)
    return replace(found, landmarks=landmarks, blendshapes=scores)


def _gap(points: FloatArray) -> FloatArray:
    """(2,) mean distance of the lids' edges; points: (478, 2)."""
    return np.linalg.norm(points[_UPPER[:, _MIDDLE]] - points[_LOWER[:, _MIDDLE]], axis=2).mean(1)


def _ramp(value: float, start: float, end: float) -> float:
    """0 up to `start`, 1 from `end` on, smooth between."""
    x = min(max((value - start) / (end - start), 0.0), 1.0)
    return x * x * (3 - 2 * x)
