"""From a photo to a portrait: the face found, judged, and cut out with hair and shoulders."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import cv2
import numpy as np

from perse_live.arrays import BoolArray, FloatArray, UInt8Array
from perse_live.camera import Camera
from perse_live.detect import Detection, FaceDetector
from perse_live.errors import UserError
from perse_live.photo import Photo

_log = logging.getLogger(__name__)

SIDE = 512
"""Pixels of the portrait."""
_CHIN = 152  # landmark
_MOST_FACES = 8
_MARGIN = 2.5  # side of the portrait over the larger side of the face's bounding box
_LOWERED = 0.07  # of the portrait's side that a head may stand lower so that the bust reaches the frame's lower edge
_SMALL_FACE = 90  # pixels across in the photo
_BLURRED = 18.0  # variance of the Laplacian over a face of 160 px
_DARK, _BRIGHT = 45, 225  # mean brightness of the face
_TURNED = 35.0  # degrees of yaw or pitch


@dataclass(frozen=True)
class Portrait:
    """A square cut-out around one face."""

    rgb: UInt8Array
    """(512, 512, 3)."""
    valid: BoolArray
    """(512, 512) False beyond the photo's edges, where pixels are replicated."""
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
        return float(self.detection.landmarks[_CHIN, 1])


def find_portrait(photo: Photo) -> Portrait:
    """Find the face, warn of what will harm the result, and cut the portrait out.

    Of several faces the largest is taken, with a warning. A find counts only if it is found again in its own cut-out; of what is
    no face that is rarely so. Raises UserError when there is no face.
    """
    with FaceDetector(max_faces=_MOST_FACES) as detector:
        looks = [(face, _closer_look(photo.rgb, face, detector)) for face in detector.detect(photo.rgb)]
    found = [(face, look) for face, look in looks if look is not None]
    if not looks:
        raise UserError(f"{photo.name}: no human face found; use a photo with one face that looks towards the camera, well lit")
    if not found:
        raise UserError(f"{photo.name}: the face is lost on a closer look; use a sharper or larger photo")
    face, (rgb, valid, detection) = found[0]
    warnings = _judge(photo.rgb, face)
    if len(found) > 1:
        warnings.insert(0, f"{len(found)} faces found: the largest is used; crop the photo to choose another")
    for warning in warnings:
        _log.warning("%s: %s", photo.name, warning)
    return Portrait(rgb, valid, detection, Camera.for_image(SIDE, SIDE), tuple(warnings))


def _closer_look(rgb: UInt8Array, face: Detection, detector: FaceDetector) -> tuple[UInt8Array, BoolArray, Detection] | None:
    """A face's cut-out, which pixels of it are real, and the face in it; None if there is none."""
    cut, valid = _cut_out(rgb, face.landmarks)
    middle = np.array([SIDE / 2, SIDE / 2])
    again = min(detector.detect(cut), key=lambda d: float(np.linalg.norm(d.landmarks[:, :2].mean(0) - middle)), default=None)
    return None if again is None else (cut, valid, again)


def _cut_out(rgb: UInt8Array, landmarks: FloatArray) -> tuple[UInt8Array, BoolArray]:
    """The square around a face, reduced or enlarged to the portrait's size, and where it lies inside the photo."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    side = float((high - low).max()) * _MARGIN
    center = (low + high) / 2 + np.array([0.0, 0.005 * side])
    height, width = rgb.shape[:2]
    # where the photo ends, the frame should end too: a bust cut off inside the frame looks cut off
    center[0] -= float(np.clip(_overlap(center[0], side, width), -0.07 * side, 0.07 * side))
    beyond, balanced = center[1] + side / 2 - height, _overlap(center[1], side, height)
    if 0 < beyond < max(balanced, 0.0) + _LOWERED * side:  # the head may stand a little low for that
        center[1] -= min(beyond, 0.3 * side)
    else:
        center[1] -= float(np.clip(balanced, max(-0.07 * side, min(beyond, 0.0)), 0.3 * side))
    scale = SIDE / side
    # pixel centres at +0.5 in both pictures
    offset = (SIDE / 2) - center * scale - 0.5 + 0.5 * scale
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    source = rgb
    if scale < 0.5:  # area averaging first: warping alone would alias
        source = cv2.resize(rgb, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        shrunk = np.array([source.shape[1] / width, source.shape[0] / height])
        matrix = np.column_stack([np.diag(scale / shrunk), offset + 0.5 * scale * (1 / shrunk - 1)])
    cut = cv2.warpAffine(source, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
                         borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.full(source.shape[:2], 255, np.uint8), matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(cut, np.uint8), np.asarray(inside > 250)


def _overlap(center: float, side: float, extent: float) -> float:
    """How much farther a frame reaches beyond the photo's far edge than beyond its near one, pixels."""
    return max(0.0, center + side / 2 - extent) - max(0.0, side / 2 - center)


def _judge(rgb: UInt8Array, face: Detection) -> list[str]:
    """What about the photo will harm the avatar, in words for the user."""
    low = np.maximum(face.landmarks[:, :2].min(0).astype(int), 0)
    high = face.landmarks[:, :2].max(0).astype(int) + 1
    patch = rgb[low[1] : high[1], low[0] : high[0]]
    if patch.size == 0:
        return []
    warnings = []
    across = int(min(high - low))
    if across < _SMALL_FACE:
        warnings.append(f"the face is only {across} px across: the avatar will be soft; {_SMALL_FACE} px or more are better")
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
    sharpness = cv2.Laplacian(cv2.resize(grey, (160, 160), interpolation=cv2.INTER_AREA), cv2.CV_32F).var()
    if sharpness < _BLURRED:
        warnings.append("the face is blurred: use a sharper photo for a sharper avatar")
    brightness = float(grey.mean())
    if brightness < _DARK:
        warnings.append("the face is very dark: light it from the front")
    elif brightness > _BRIGHT:
        warnings.append("the face is overexposed: use a softer light")
    turn = np.degrees(np.arccos(np.clip(face.matrix[2, 2] / np.linalg.norm(face.matrix[:3, 2]), -1, 1)))
    if turn > _TURNED:
        warnings.append(f"the head is turned by {turn:.0f} degrees: the far side is guessed; a frontal photo is better")
    return warnings
