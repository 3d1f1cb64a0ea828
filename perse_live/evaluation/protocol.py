"""Splitting a clip: which frame is the portrait, which others test the avatar, and the square that is cut out of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from perse_live.arrays import Float64Array, FloatArray, UInt8Array
from perse_live.detect import Detection
from perse_live.errors import UserError
from perse_live.evaluation.motion_metrics import head_rotation
from perse_live.follow import FaceFollower
from perse_live.head.expressions import expression

_MIN_FACES = 20  # frames
_UNREST = expression(
    jawOpen=2,
    eyeBlinkLeft=1.5,
    eyeBlinkRight=1.5,
    mouthSmileLeft=1,
    mouthSmileRight=1,
    mouthPucker=0.7,
    mouthFunnel=1,
    browInnerUp=1,
    browDownLeft=0.3,
    browDownRight=0.3,
    eyeWideLeft=0.5,
    eyeWideRight=0.5,
    cheekPuff=1,
    mouthLeft=1,
    mouthRight=1,
    jawLeft=1,
    jawRight=1,
    mouthFrownLeft=0.5,
    mouthFrownRight=0.5,
    mouthShrugLower=0.3,
    mouthUpperUpLeft=0.7,
    mouthUpperUpRight=0.7,
    mouthLowerDownLeft=0.7,
    mouthLowerDownRight=0.7,
    eyeLookInLeft=0.5,
    eyeLookInRight=0.5,
    eyeLookOutLeft=0.5,
    eyeLookOutRight=0.5,
    eyeLookUpLeft=1,
    eyeLookUpRight=1,
    eyeLookDownLeft=1,
    eyeLookDownRight=1,
)


@dataclass(frozen=True)
class ProtocolConfig:
    """How a clip is split."""

    size: int = 512
    """Side of the frames that are scored, pixels."""
    most_frames: int = 120
    """How many frames are scored at most; of a longer clip every second, third ..."""
    guard: int = 5
    """Frames to each side of the portrait that are never scored."""
    window: float = 0.4
    """The portrait comes from this first part of the clip."""


@dataclass(frozen=True, eq=False)
class Survey:
    """Detections in all frames of a clip."""

    faces: tuple[Detection | None, ...]
    sharpness: Float64Array
    """(N,) of the face, brought to one size; 0 where there is none."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""


@dataclass(frozen=True)
class ClipPlan:
    """How a clip is split."""

    source: int
    """Number of the frame that is the portrait."""
    source_cost: float
    """How far it is from frontal, neutral and sharp."""
    extras: tuple[int, ...]
    """Numbers of further frames that the avatar may be built from; never scored."""
    frames: tuple[int, ...]
    """Numbers of the scored frames."""
    stride: int
    """Clip frames from one scored frame to the next."""
    crop: tuple[int, int, int]
    """Left, top, side of the square cut out, pixels of the clip."""
    size: int
    """Pixels that the square is brought to."""


def survey(pictures: Iterable[UInt8Array], *, interval: float = 0.04) -> Survey:
    """Detect and follow one person through all frames (RGB) of a clip.

    interval: seconds from one picture to the next. Raises UserError for a clip without frames.
    """
    faces: list[Detection | None] = []
    sharpness: list[float] = []
    width = height = 0
    with FaceFollower(independent=True) as follower:
        for number, picture in enumerate(pictures):
            height, width = picture.shape[:2]
            face = follower.update(picture, number * interval)
            faces.append(face)
            sharpness.append(0.0 if face is None else _sharpness(picture, face))
    if not faces:
        raise UserError("the clip has no frames: give one that plays")
    return Survey(tuple(faces), np.array(sharpness), width, height)


def plan_clip(
    clip: Survey, *, extras: int = 0, config: ProtocolConfig = ProtocolConfig()
) -> ClipPlan:
    """Split a clip.

    extras: how many further frames to build from. Raises UserError where too few frames show a face.
    """
    seen = {i: face for i, face in enumerate(clip.faces) if face is not None}
    count = len(clip.faces)
    if len(seen) < _MIN_FACES:
        raise UserError(
            f"a face was found in only {len(seen)} of {count} frames: give a clip of a face that talks to the camera"
        )
    boxes = {i: _box(face) for i, face in seen.items()}
    left, top, side = crop = _crop(np.stack(list(boxes.values())), clip.width, clip.height)

    def inside(i: int, margin: float) -> bool:
        low, high = np.array([left, top]) + margin, np.array([left, top]) + side - margin
        return bool((boxes[i][:2] >= low).all() and (boxes[i][2:] <= high).all())

    early = [i for i in seen if i < config.window * count and inside(i, 0.01 * side)]
    candidates = early or list(seen)[: max(1, len(seen) * 2 // 5)]
    costs = _costs(seen, candidates, clip.sharpness)
    source = min(candidates, key=costs.__getitem__)
    further = _further_views(seen, candidates, source, extras)
    stride = -(-count // config.most_frames)
    used = (source, *further)
    frames = tuple(
        i
        for i in range(0, count, stride)
        if all(abs(i - one) > config.guard for one in used)
        and i in seen
        and inside(i, -0.02 * side)
    )
    if len(frames) < 3:
        raise UserError(f"only {len(frames)} frames are left to be scored: give a longer clip")
    return ClipPlan(source, costs[source], further, frames, stride, crop, config.size)


def varied_frames(clip: Survey, count: int) -> tuple[int, ...]:
    """Numbers of the frames, at most `count`, that show a face from most sides and in most expressions, none of them blurred.

    The calmest frontal one is the first.
    """
    seen = {i: face for i, face in enumerate(clip.faces) if face is not None}
    if not seen:
        return ()
    least = 0.5 * float(np.median(clip.sharpness[list(seen)]))
    candidates = [i for i in seen if clip.sharpness[i] >= least]
    costs = _costs(seen, candidates, clip.sharpness)
    first = min(candidates, key=costs.__getitem__)
    return (first, *_further_views(seen, candidates, first, count - 1))


def cut(picture: UInt8Array, plan: ClipPlan) -> UInt8Array:
    """The scored square of a frame. Returns (size, size, 3)."""
    left, top, side = plan.crop
    square = picture[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > plan.size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (plan.size, plan.size), interpolation=how), np.uint8)


def chosen(pictures: Iterable[UInt8Array], numbers: Sequence[int]) -> Iterator[UInt8Array]:
    """The pictures of these numbers, in order, each once; the rest of the film is not read."""
    wanted = sorted(set(numbers))
    if not wanted:
        return
    for number, picture in enumerate(pictures):
        if number == wanted[0]:
            wanted.pop(0)
            yield picture
            if not wanted:
                return


def _box(face: Detection) -> FloatArray:
    """(4,) left, top, right, bottom of the landmarks, pixels."""
    points = face.landmarks[:, :2].astype(np.float64)
    return np.concatenate([points.min(0), points.max(0)])


def _crop(boxes: FloatArray, width: int, height: int) -> tuple[int, int, int]:
    """A square that holds the head with hair and shoulders wherever it goes in the clip, as far as the picture does."""
    face = float(np.median(boxes[:, 3] - boxes[:, 1]))
    x0, y0 = np.percentile(boxes[:, :2], 1, axis=0) - face * np.array([0.55, 0.60])
    x1, y1 = np.percentile(boxes[:, 2:], 99, axis=0) + face * np.array([0.55, 0.55])
    side = int(min(max(x1 - x0, y1 - y0), height, width))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    return min(max(left, 0), width - side), min(max(top, 0), height - side), side


def _sharpness(picture: UInt8Array, face: Detection) -> float:
    left, top, right, bottom = _box(face).astype(int).clip(0)
    patch = picture[top:bottom, left:right]
    if patch.size == 0:
        return 0.0
    grey = cv2.cvtColor(np.ascontiguousarray(patch), cv2.COLOR_RGB2GRAY)
    return float(
        cv2.Laplacian(cv2.resize(grey, (160, 200), interpolation=cv2.INTER_AREA), cv2.CV_32F).var()
    )


def _costs(
    seen: dict[int, Detection], candidates: list[int], sharpness: Float64Array
) -> dict[int, float]:
    """How far each candidate is from a portrait: frontal, neutral, looking ahead, as wide awake as usual, sharp."""
    sharp = float(np.percentile(sharpness[candidates], 80))
    usual_lids = float(np.median([_lid_gap(face.landmarks[:, :2]) for face in seen.values()]))

    def cost(i: int) -> float:
        face = seen[i]
        points = face.landmarks[:, :2].astype(np.float64)
        pitch, yaw, roll = np.abs(_euler_degrees(head_rotation(face)))
        lids = _lid_gap(points) / usual_lids
        tilt = abs(_angle(points[291] - points[61]) - _angle(points[263] - points[33]))
        lips = np.linalg.norm(points[13] - points[14]) / np.linalg.norm(points[33] - points[263])
        gaze = _off_centre(points, 33, 133, 468) + _off_centre(points, 362, 263, 473)
        return float(
            yaw / 8
            + max(0, pitch - 4) / 10
            + roll / 15
            + _UNREST @ face.blendshapes
            + 4 * gaze
            + 6 * lips
            + tilt / 6
            + 3 * max(0, 0.95 - lids)
            + 3 * max(0, lids - 1.15)
            + 4 * max(0, 1 - sharpness[i] / max(sharp, 1e-9))
        )

    return {i: cost(i) for i in candidates}


def _further_views(
    seen: dict[int, Detection], candidates: list[int], source: int, count: int
) -> tuple[int, ...]:
    """Frames that show what the portrait does not: turned, with the mouth open, the eyes elsewhere; each unlike the others."""

    def look(i: int) -> FloatArray:
        face = seen[i]
        pitch, yaw, _ = _euler_degrees(head_rotation(face))
        return np.concatenate([[yaw / 8, pitch / 8], 2 * face.blendshapes])

    looks = {i: look(i) for i in candidates}
    taken = [source]
    while len(taken) <= count and len(taken) < len(candidates):
        taken.append(
            max(
                (i for i in candidates if i not in taken),
                key=lambda i: min(float(np.linalg.norm(looks[i] - looks[k])) for k in taken),
            )
        )
    return tuple(taken[1:])


def _euler_degrees(rotation: FloatArray) -> FloatArray:
    """(3,) pitch, yaw, roll of a head rotation by MediaPipe; 0, 0, 0 faces the camera."""
    return np.degrees(
        [
            np.arctan2(rotation[2, 1], rotation[2, 2]),
            np.arcsin(np.clip(-rotation[2, 0], -1, 1)),
            np.arctan2(rotation[1, 0], rotation[0, 0]),
        ]
    )


def _angle(vector: FloatArray) -> float:
    return float(np.degrees(np.arctan2(vector[1], vector[0])))


def _off_centre(points: FloatArray, corner: int, other: int, iris: int) -> float:
    """How far an iris is from the middle between the eye's corners, along them, in eye widths."""
    along = points[other] - points[corner]
    return abs(float((points[iris] - points[corner]) @ along / (along @ along)) - 0.5)


def _lid_gap(points: FloatArray) -> float:
    """Both eyes' openings, over their widths."""

    def gap(upper: int, lower: int, corner: int, other: int) -> float:
        return float(
            np.linalg.norm(points[upper] - points[lower])
            / np.linalg.norm(points[corner] - points[other])
        )

    return gap(159, 145, 33, 133) + gap(386, 374, 362, 263)
