"""Faces in a picture: positions, directions, and advice for a better portrait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from perse_live.arrays import FloatArray, UInt8Array
from perse_live.detect import Detection
from perse_live.head.expressions import index
from perse_live.head.landmarks import EYE_CORNERS

# Width of a face over the picture's shorter side, for a portrait before a camera
_SMALL_SHARE, _LARGE_SHARE = (0.17, 0.42)
_OFF_CENTER = 0.13  # of the picture's shorter side that a face may be off the centre
_TURNED, _NODDED, _TILTED = 13.0, 16.0, 12.0  # degrees that count as straight
_SIDEWAYS = 22.0  # degrees of yaw from which on a further picture shows a side
_FEW_PIXELS = 80  # width of a face below which an avatar is soft
_MARGIN = 0.02  # of a face's size that it must be away from the picture's edge
_FAR_TURNED, _FAR_NODDED = 30.0, 25.0  # degrees from which on the far side must be guessed
_DARK, _BRIGHT = 62.0, 222.0  # of 255, median brightness of a face
_UNEVEN = 1.9  # brighter half of a face over the darker one
_BLINK, _SQUINT = 0.45, 0.75
_SHUT = 0.55
_OPEN_MOUTH, _TEETH = 0.22, 0.3
# A channel at its limit around the eyes, and the share of that region which may be so
_GLARE, _MAX_GLARE = (250, 0.012)


@dataclass(frozen=True)
class Face:
    """One face in a picture; positions and sizes are shares of the picture's width and height."""

    left: float
    top: float
    width: float
    height: float
    yaw: float
    """Degrees, positive where the face looks to the picture's right."""
    pitch: float
    """Degrees, positive where it looks down."""
    roll: float
    """Degrees, positive where it is tilted clockwise in the picture."""
    problems: tuple[str, ...] = ()
    """Words of `PROBLEMS`: expected problems of an avatar of this face."""

    def to_json(self) -> dict[str, object]:
        """As a JSON object."""
        numbers = {key: value for key, value in vars(self).items() if key != "problems"}
        return {
            **{name: round(float(value), 4) for name, value in numbers.items()},
            "problems": list(self.problems),
        }


def face_of(found: Detection) -> Face:
    """Where a detected face is and where it looks."""
    points = found.landmarks[:, :2]
    low, high = points.min(0), points.max(0)
    size = np.array([found.width, found.height], float)
    left, top = low / size
    width, height = (high - low) / size
    yaw, pitch = looking(found)
    right_eye, left_eye = points[list(EYE_CORNERS)]
    roll = np.degrees(np.arctan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0]))
    return Face(left, top, width, height, yaw, pitch, float(roll))


def looking(found: Detection) -> tuple[float, float]:
    """Yaw and pitch of a face in degrees: to the picture's right, and down."""
    forward = found.matrix[:3, 2]  # x to the picture's right, y up, z to the camera
    forward = forward / max(float(np.linalg.norm(forward)), 1e-9)
    yaw = float(np.degrees(np.arctan2(forward[0], forward[2])))
    return yaw, float(-np.degrees(np.arcsin(np.clip(forward[1], -1, 1))))


PROBLEMS = (
    "small",
    "cut-off",
    "turned",
    "nodded",
    "light",
    "bright",
    "uneven",
    "glare",
    "open-eyes",
    "relax",
)
"""What can be poor about a face in a photo; the page has a sentence for each."""


def face_problems(
    image: UInt8Array,  # (H, W, 3) RGB
    found: Detection,
) -> tuple[str, ...]:
    """Expected problems of an avatar of a face: words of `PROBLEMS`."""
    face = face_of(found)
    problems: list[str] = []
    if face.width * image.shape[1] < _FEW_PIXELS:
        problems.append("small")
    margin = _MARGIN * max(face.width, face.height)
    if min(face.left, face.top, 1 - face.left - face.width, 1 - face.top - face.height) < margin:
        problems.append("cut-off")
    if abs(face.yaw) > _FAR_TURNED:
        problems.append("turned")
    if abs(face.pitch) > _FAR_NODDED:
        problems.append("nodded")
    problems += _light(image, found)
    problems += [one for one in _posed(found, face, "front") if one in ("open-eyes", "relax")]
    return tuple(problems)


Pose = str
"""What a picture is to show: "front", "left", "right" (a face turned to the picture's left or right), "eyes-shut" or "teeth"."""
POSES = ("front", "left", "right", "eyes-shut", "teeth")


@dataclass(frozen=True)
class Advice:
    """What to do about a camera picture before it is taken."""

    face: Face | None
    hints: tuple[str, ...]
    """Words of `HINTS`, the most pressing first; none: it can be taken."""
    sharpness: float
    """Of the face, to choose the sharpest of several pictures by; no unit."""


HINTS = (
    "no-face",
    "several",
    "closer",
    "back",
    "center",
    "light",
    "bright",
    "uneven",
    "straight",
    "level",
    "glare",
    "open-eyes",
    "relax",
    "turn-left",
    "turn-right",
    "shut-eyes",
    "show-teeth",
)
"""All hints; the page has a sentence for each."""


def advice(
    image: UInt8Array,  # (H, W, 3) RGB
    faces: Sequence[Detection],
    pose: Pose,
) -> Advice:
    """What to do before a picture that shall show a pose is taken. faces: found in it, the largest first."""
    if not faces:
        return Advice(None, ("no-face",), 0.0)
    found = faces[0]
    face = face_of(found)
    height, width = image.shape[:2]
    shorter = min(height, width)
    hints: list[str] = []
    if len(faces) > 1 and faces[1].eye_distance > 0.5 * found.eye_distance:
        hints.append("several")
    across = face.width * width / shorter / max(np.cos(np.radians(face.yaw)), 0.5)
    middle_x, middle_y = (
        (face.left + face.width / 2 - 0.5) * width,
        (face.top + face.height / 2 - 0.5) * height,
    )
    if across < _SMALL_SHARE:
        hints.append("closer")
    elif across > _LARGE_SHARE:
        hints.append("back")
    if max(abs(middle_x), abs(middle_y)) > _OFF_CENTER * shorter:
        hints.append("center")
    hints += _light(image, found)
    hints += _posed(found, face, pose)
    return Advice(face, tuple(hints), _sharpness(image, found))


def _posed(found: Detection, face: Face, pose: Pose) -> list[str]:
    scores = found.blendshapes
    blink = max(float(scores[index("eyeBlinkLeft")]), float(scores[index("eyeBlinkRight")]))
    if pose == "left":
        return [] if face.yaw < -_SIDEWAYS else ["turn-left"]
    if pose == "right":
        return [] if face.yaw > _SIDEWAYS else ["turn-right"]
    hints: list[str] = []
    if abs(face.yaw) > _TURNED or abs(face.pitch) > _NODDED:
        hints.append("straight")
    if abs(face.roll) > _TILTED:
        hints.append("level")
    if pose == "eyes-shut":
        return [*hints, *([] if blink > _SHUT else ["shut-eyes"])]
    if blink > _BLINK:
        hints.append("open-eyes")
    jaw = float(scores[index("jawOpen")])
    if pose == "teeth":
        shown = max(
            float(scores[index(f"mouth{name}")])
            for name in ("UpperUpLeft", "UpperUpRight", "SmileLeft", "SmileRight")
        )
        return [*hints, *([] if shown > _TEETH or jaw > _OPEN_MOUTH else ["show-teeth"])]
    if jaw > _OPEN_MOUTH:
        hints.append("relax")
    return hints


def _light(image: UInt8Array, found: Detection) -> list[str]:
    low = np.clip(found.landmarks[:, :2].min(0), 0, None).astype(int)
    high = np.ceil(found.landmarks[:, :2].max(0)).astype(int) + 1
    patch = image[low[1] : high[1], low[0] : high[0]]
    if min(patch.shape[:2]) < 8:
        return []
    inside = _hull(patch, found.landmarks[:, :2] - low)
    grey = np.asarray(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), np.float32)
    median = float(np.median(grey[inside]))
    if median < _DARK:
        return ["light"]
    if median > _BRIGHT:
        return ["bright"]
    middle = float(found.landmarks[list(EYE_CORNERS), 0].mean()) - low[0]
    columns = np.arange(patch.shape[1])[None, :]
    halves = [grey[inside & side] for side in (columns < middle, columns >= middle)]
    hints: list[str] = []
    if all(len(half) > 50 for half in halves):
        one, other = (float(np.median(half)) + 1 for half in halves)
        if max(one, other) / min(one, other) > _UNEVEN and abs(looking(found)[0]) < _TURNED:
            hints.append("uneven")
    if _glare(image, found):
        hints.append("glare")
    return hints


def _glare(image: UInt8Array, found: Detection) -> bool:
    """Whether something around the eyes reflects a lamp or a screen, as glasses do."""
    corners = found.landmarks[list(EYE_CORNERS), :2]
    across = float(np.linalg.norm(corners[1] - corners[0]))
    low = np.clip(corners.min(0) - np.array([0.12, 0.28]) * across, 0, None).astype(int)
    high = (corners.max(0) + np.array([0.12, 0.32]) * across).astype(int)
    patch = image[low[1] : high[1], low[0] : high[0]]
    return bool(patch.size) and float((patch.min(2) >= _GLARE).mean()) > _MAX_GLARE


def _sharpness(image: UInt8Array, found: Detection) -> float:
    low = np.clip(found.landmarks[:, :2].min(0), 0, None).astype(int)
    high = np.ceil(found.landmarks[:, :2].max(0)).astype(int) + 1
    patch = image[low[1] : high[1], low[0] : high[0]]
    if min(patch.shape[:2]) < 8:
        return 0.0
    grey = np.asarray(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), np.uint8)
    return round(float(cv2.Laplacian(grey, cv2.CV_32F).std()) / max(float(grey.std()), 1.0), 4)


def _hull(patch: UInt8Array, points: FloatArray) -> np.ndarray:
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.int32)), 1)
    return mask > 0
