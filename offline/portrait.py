"""From a photo to a portrait: the face found, judged, and cut out with hair and shoulders."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from offline.hands import covered_by_hands
from offline.images import erode
from offline.numeric import robust_deviation
from offline.segment.landmark_masks import face_oval
from perse_live.arrays import BoolArray, FloatArray, UInt8Array
from perse_live.camera import Camera
from perse_live.detect import Detection, FaceDetector
from perse_live.errors import UserError
from perse_live.head.landmarks import BROW_PEAKS, CHIN, EYE_CORNERS
from perse_live.photo import Photo

SIDE = 512
"""Pixels of the portrait."""
_MOST_FACES = 8
_MARGIN = 2.5  # side of the portrait over the larger side of the face's bounding box
_SHIFTED = 0.07  # of the portrait's side that a head may stand off the middle so that the frame ends where the photo does
_SMALL_FACE = 90  # pixels across in the photo
_JUDGED_SIDE = 160  # pixels across, to which a face is brought before its sharpness is judged
_BLURRED = 0.03  # deviation of the Laplacian over the face's contrast; good photos: 0.035 to 0.13, one blurred by 1.5 px: 0.028
_NOISY = 0.03  # deviation of the noise over the face's contrast; film grain reaches 0.022, at 0.037 it shows
_DARK = 80  # of 255: what the brightest 2 % of a lit face exceed, whatever the skin
_BRIGHT = 225  # median of a washed-out face
# A channel at its limit, and the share of the face that may be so: highlights are a tenth
_CLIPPED, _MOST_CLIPPED = (254, 0.2)
_SIDEWAYS = 45.0  # degrees of roll from which on it is the photo that is turned, not the head
_LEVEL = 2.0  # degrees of roll that are left as they are
_SAME_ROLL = 30.0  # degrees within which finds in differently turned pictures agree
_MOST_LEFT = 20.0  # degrees of roll that a levelled cut-out may still show; more is no face, or one upside down
_TURNED = 35.0  # degrees of yaw or pitch
_MOST_MISSING = 0.02  # of the face that may lie beyond the photo's edge, or be covered by hands


@dataclass(frozen=True)
class Portrait:
    """A square cut-out around one face."""

    rgb: UInt8Array
    """(512, 512, 3)."""
    valid: BoolArray
    """(512, 512) False beyond the photo's edges, where pixels are replicated."""
    made_up: BoolArray
    """(512, 512) valid, but beyond the photo's edges: what lies there was completed."""
    detection: Detection
    """Of the cut-out."""
    camera: Camera
    """Assumed for the cut-out."""
    warnings: tuple[str, ...]
    """What about the photo will show in the avatar, for the user."""

    @property
    def unit(self) -> float:
        """Pixels that everything is measured in: 1 where the eyes' outer corners are 115 pixels apart."""
        return self.detection.eye_distance / 115

    @property
    def chin_row(self) -> float:
        """Pixels from the top."""
        return float(self.detection.landmarks[CHIN, 1])


def find_portrait(photo: Photo) -> Portrait:
    """Find the face, level it, warn of what will harm the result, and cut the portrait out.

    The photo may be turned by any angle: it is searched in four orientations. Of several faces the largest is taken, with a
    warning. A detection counts only if it is found again, and level, in its cut-out, which is rare for false detections.
    Raises UserError when there is no face.
    """
    with FaceDetector(max_faces=_MOST_FACES) as detector:
        finds = _finds(photo.rgb, detector)
        looks: list[_Look] = []
        for landmarks in finds:
            if not any(_same_place(look.landmarks, landmarks) for look in looks):
                look = _closer_look(photo.rgb, landmarks, detector)
                looks += [] if look is None else [look]
    if not finds:
        raise UserError(
            f"{photo.name}: no human face found; use a photo with one face that looks towards the camera, well lit"
        )
    if not looks:
        raise UserError(
            f"{photo.name}: the face is lost on a closer look; use a sharper or larger photo"
        )
    look = max(looks, key=lambda one: float(np.ptp(one.landmarks, 0).prod()))
    warnings = [
        *photo.warnings,
        *_judge(photo.rgb, look.landmarks, look.detection),
        *_judge_whole(look),
    ]
    if len(looks) > 1:
        warnings.insert(
            0, f"{len(looks)} faces found: the largest is used; crop the photo to choose another"
        )
    if abs(look.roll) > _SIDEWAYS:
        warnings.append(f"the photo is turned by {abs(look.roll):.0f} degrees: it was put upright")
    return Portrait(
        look.rgb,
        look.valid,
        np.zeros_like(look.valid),
        look.detection,
        Camera.for_image(SIDE, SIDE),
        tuple(warnings),
    )


def _finds(rgb: UInt8Array, detector: FaceDetector) -> list[FloatArray]:
    """Landmarks (478, 2) of what may be faces in a photo of any orientation, pixels of the photo, the likeliest first.

    The detector finds a face turned by up to 90 degrees either way, and takes one that is upside down for an upright one, if at
    all. So each face is found in two or three of four orientations with the same roll, and a wrong find stands alone.
    """
    turned = [np.ascontiguousarray(np.rot90(rgb, quarter)) for quarter in range(4)]
    found: list[tuple[int, Detection]] = []
    for search in (False, True):  # more patiently, where there seems to be none
        found = found or [
            (quarter, face)
            for quarter, picture in enumerate(turned)
            for face in detector.detect(picture, search=search)
        ]
    # the least turned first: its landmarks are the best
    found.sort(key=lambda find: abs(_roll(find[1].landmarks)))
    groups: list[list[FloatArray]] = []
    for quarter, face in found:
        landmarks = _turned_back(face.landmarks[:, :2], quarter, rgb.shape[1], rgb.shape[0])
        group = next(
            (
                one
                for one in groups
                if _same_place(one[0], landmarks)
                and abs(math.remainder(_roll(one[0]) - _roll(landmarks), 360)) < _SAME_ROLL
            ),
            None,
        )
        if group is None:
            groups.append([landmarks])
        else:
            group.append(landmarks)
    return [group[0] for group in sorted(groups, key=lambda group: -len(group))]


def _turned_back(points: FloatArray, quarters: int, width: int, height: int) -> FloatArray:
    """From a picture turned counter-clockwise by quarter turns to the original. points: (N, 2); width, height: the original's."""
    for step in reversed(range(quarters)):
        wide = width if step % 2 == 0 else height  # of the picture before this step
        points = np.stack([wide - points[:, 1], points[:, 0]], 1)
    return points


def _roll(landmarks: FloatArray) -> float:
    """By how much a face is turned clockwise in its picture, degrees from -180 to 180. landmarks: (478, 2) or (478, 3)."""
    right, left = landmarks[list(EYE_CORNERS), :2]
    return float(np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0])))


def _same_place(one: FloatArray, other: FloatArray) -> bool:
    """Whether two finds lie on each other: centres nearer than half a face."""
    size = max(np.ptp(one, 0).max(), np.ptp(other, 0).max())
    return bool(np.linalg.norm(one.mean(0) - other.mean(0)) < size / 2)


@dataclass(frozen=True)
class _Look:
    """A level cut-out around a face."""

    rgb: UInt8Array
    valid: BoolArray
    detection: Detection
    landmarks: FloatArray
    """(478, 2) pixels of the photo."""
    roll: float
    """By how much the photo was turned, degrees."""


def _closer_look(rgb: UInt8Array, landmarks: FloatArray, detector: FaceDetector) -> _Look | None:
    """The cut-out of a face, with the face in it; None if there is none. landmarks: (478, 2) pixels of the photo."""
    roll = _roll(landmarks)
    look = _look(rgb, landmarks, roll if abs(roll) > _LEVEL else 0.0, detector)
    if look is None or abs(_roll(look.detection.landmarks)) > _MOST_LEFT:
        return None
    if look.roll:  # once more with landmarks that were found level
        return (
            _look(rgb, look.landmarks, look.roll + _roll(look.detection.landmarks), detector)
            or look
        )
    return look


def _look(
    rgb: UInt8Array, landmarks: FloatArray, roll: float, detector: FaceDetector
) -> _Look | None:
    cut, valid, matrix = _cut_out(rgb, landmarks, roll)
    middle = np.array([SIDE / 2, SIDE / 2])
    again = min(
        detector.detect(cut),
        key=lambda d: float(np.linalg.norm(d.landmarks[:, :2].mean(0) - middle)),
        default=None,
    )
    if again is None:
        return None
    in_photo = (again.landmarks[:, :2] - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return _Look(cut, valid, again, in_photo, roll)


def _cut_out(
    rgb: UInt8Array, landmarks: FloatArray, roll: float
) -> tuple[UInt8Array, BoolArray, FloatArray]:
    """The level square around a face, reduced or enlarged to the portrait's size, and where it lies inside the photo.

    landmarks: (478, 2) pixels of the photo; roll: degrees by which the face is turned clockwise. Also returns the matrix (2, 3)
    from places in the photo to places in the portrait, pixel centres at +0.5 in both.
    """
    cosine, sine = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    # Rightwards and downwards in the portrait, in the photo
    axes = np.array([[cosine, sine], [-sine, cosine]])
    level = landmarks @ axes.T
    low, high = level.min(0), level.max(0)
    side = float((high - low).max()) * _MARGIN
    center = (low + high) / 2 + np.array([0.0, 0.005 * side])
    height, width = rgb.shape[:2]
    right, down, left, up = (_room(axes.T @ center, way, width, height) for way in (*axes, *-axes))
    # where the photo ends, the frame should end too: a bust cut off inside the frame looks cut off
    center[0] -= float(np.clip(_overlap(left, right, side), -_SHIFTED * side, _SHIFTED * side))
    beyond, balanced = side / 2 - down, _overlap(up, down, side)
    # The head may stand a little low for that
    if 0 < beyond < max(balanced, 0.0) + _SHIFTED * side:
        center[1] -= min(beyond, 0.3 * side)
    else:
        center[1] -= float(np.clip(balanced, max(-_SHIFTED * side, min(beyond, 0.0)), 0.3 * side))
    scale = SIDE / side
    matrix = np.column_stack([scale * axes, np.full(2, SIDE / 2) - scale * center])
    source, shrunk = rgb, np.ones(2)
    if scale < 0.5:  # area averaging first: warping alone would alias
        source = cv2.resize(rgb, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        shrunk = np.array([source.shape[1] / width, source.shape[0] / height])
    indices = matrix / np.array([*shrunk, 1.0])  # OpenCV counts from the first pixel's centre
    indices[:, 2] += 0.5 * indices[:, :2].sum(1) - 0.5
    cut = cv2.warpAffine(
        source,
        indices,
        (SIDE, SIDE),
        flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    inside = cv2.warpAffine(
        np.full(source.shape[:2], 255, np.uint8), indices, (SIDE, SIDE), flags=cv2.INTER_LINEAR
    )
    return np.ascontiguousarray(cut, np.uint8), np.asarray(inside == 255), matrix


def _room(start: FloatArray, way: FloatArray, width: int, height: int) -> float:
    """How far it is from a place in the photo to its edge. way: (2,) of unit length."""
    bounds = np.where(way > 0, np.array([width, height], float), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = (bounds - start) / way
    return float(np.min(distances[np.abs(way) > 1e-9]))


def _overlap(near: float, far: float, side: float) -> float:
    """How much farther a frame reaches beyond the photo's far edge than beyond its near one; all in pixels."""
    return max(0.0, side / 2 - far) - max(0.0, side / 2 - near)


def _judge(rgb: UInt8Array, landmarks: FloatArray, face: Detection) -> list[str]:
    """What about the photo will harm the avatar, in words for the user.

    landmarks: (478, 2) pixels of the photo; face: in its level cut-out. Exposure, sharpness and noise are measured on the face's
    pixels: a face that is merely dark is no less sharp, and a bright wall is nobody's overexposure.
    """
    low = np.maximum(landmarks.min(0).astype(int), 0)
    high = landmarks.max(0).astype(int) + 1
    patch = rgb[low[1] : high[1], low[0] : high[0]]
    if min(patch.shape[:2]) < 3:
        return []
    shown = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillConvexPoly(shown, cv2.convexHull((landmarks - low).astype(np.int32)), 1)
    warnings = []
    across = int(min(high - low))
    if across < _SMALL_FACE:
        warnings.append(
            f"the face is only {across} px across: the avatar will be soft; {_SMALL_FACE} px or more are better"
        )
    inside = shown > 0
    grey = np.asarray(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), np.uint8)
    lowest, median, highest = np.percentile(grey[inside], [2, 50, 98])
    contrast = max(float(highest - lowest), 1.0)
    noise = _noise(grey, inside) / contrast
    if noise > _NOISY:
        warnings.append("the face is grainy: use a photo taken in more light")
    elif _sharpness(grey, inside) / contrast < _BLURRED:
        warnings.append("the face is blurred: use a sharper photo for a sharper avatar")
    clipped = float((patch[inside].max(1) >= _CLIPPED).mean())
    if highest < _DARK:
        warnings.append("the face is very dark: light it from the front")
    elif clipped > _MOST_CLIPPED:
        warnings.append(
            f"the face is overexposed: {clipped:.0%} of it is clipped; use a softer light"
        )
    elif median > _BRIGHT:
        warnings.append("the face is overexposed: use a softer light")
    turn = np.degrees(
        np.arccos(np.clip(face.matrix[2, 2] / np.linalg.norm(face.matrix[:3, 2]), -1, 1))
    )
    if turn > _TURNED:
        warnings.append(
            f"the head is turned by {turn:.0f} degrees: the far side is guessed; a frontal photo is better"
        )
    return warnings


def _judge_whole(look: _Look) -> list[str]:
    """What of the face the photo does not show, in words for the user; the forehead's top is `head_top`'s."""
    points = look.detection.landmarks[:, :2]
    face = face_oval(points, look.valid.shape)
    below = face & (np.arange(SIDE)[:, None] > points[list(BROW_PEAKS), 1].min())
    warnings = []
    if (below & ~look.valid).sum() > _MOST_MISSING * face.sum():
        warnings.append(
            "a part of the face is outside the photo, so it is guessed: use a photo with the whole face"
        )
    if covered_by_hands(look.rgb, face) > _MOST_MISSING:
        warnings.append(
            "a hand is before the face, and will show in the avatar: use a photo in which nothing covers the face"
        )
    return warnings


def _sharpness(
    grey: UInt8Array,  # (H, W)
    inside: BoolArray,  # (H, W)
) -> float:
    """Deviation of the Laplacian inside a face brought to a fixed size, grey levels."""
    size = (_JUDGED_SIDE, _JUDGED_SIDE)
    small = cv2.resize(grey.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    within = cv2.resize(inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return float(cv2.Laplacian(small, cv2.CV_32F)[erode(within, 3)].std())


def _noise(
    grey: UInt8Array,  # (H, W)
    inside: BoolArray,  # (H, W)
) -> float:
    """Deviation of the noise, grey levels: Immerkaer's mask (1996), with the median for the mean, so that edges do not count."""
    curve = np.array([1.0, -2.0, 1.0])
    second = cv2.sepFilter2D(grey, cv2.CV_32F, curve, curve)
    return robust_deviation(np.asarray(second, np.float32)[inside]) / float(curve @ curve)
