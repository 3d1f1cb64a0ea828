"""Hands before the face, whose colours and edges would become the avatar's: by MediaPipe's HandLandmarker.

Its file is fetched by the commands that build; where it is not there, nothing is found.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from perse_live.arrays import BoolArray, FloatArray, UInt8Array
from perse_live.assets import optional_asset_path
from perse_live.quiet import quiet_stderr

_MOST_HANDS = 4
_CONFIDENCE = 0.3  # of a palm and of its landmarks; hands against skin score low, and no other thing in a portrait looks like one
_WRIST, _KNUCKLES = 0, (1, 5, 9, 13, 17)  # landmarks: the palm's outline
_FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
_FINGER_WIDTH = 0.3  # of the distance between the first and the last knuckle


def covered_by_hands(
    rgb: UInt8Array,  # (H, W, 3)
    region: BoolArray,  # (H, W)
) -> float:
    """Which share of a region hands cover, [0, 1]; 0 where the model's file is not there."""
    hands = np.zeros(region.shape, np.uint8)
    for points in _hands(rgb):
        _draw(hands, points)
    return float(hands[region].mean()) if region.any() else 0.0


def _hands(rgb: UInt8Array) -> list[FloatArray]:
    """Landmarks of each hand, (21, 2) pixels."""
    path = optional_asset_path("hand_landmarker")
    if path is None:
        return []
    with quiet_stderr():
        import mediapipe as mp
        from mediapipe.tasks.python import BaseOptions, vision

        options = vision.HandLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            num_hands=_MOST_HANDS,
            min_hand_detection_confidence=_CONFIDENCE,
            min_hand_presence_confidence=_CONFIDENCE,
        )
        picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
        with vision.HandLandmarker.create_from_options(options) as landmarker:
            found = landmarker.detect(picture).hand_landmarks
    size = np.array([rgb.shape[1], rgb.shape[0]], np.float64)
    return [np.array([(point.x, point.y) for point in hand]) * size for hand in found]


def _draw(mask: UInt8Array, points: FloatArray) -> None:
    """Fill a hand. mask: (H, W), changed in place; points: (21, 2) pixels."""
    rounded = points.astype(np.int32)
    width = max(
        1,
        round(_FINGER_WIDTH * float(np.linalg.norm(points[_KNUCKLES[1]] - points[_KNUCKLES[-1]]))),
    )
    cv2.fillConvexPoly(mask, cv2.convexHull(rounded[[_WRIST, *_KNUCKLES]]), 1)
    for one, other in itertools.chain.from_iterable(
        itertools.pairwise(finger) for finger in _FINGERS
    ):
        cv2.line(mask, rounded[one].tolist(), rounded[other].tolist(), 1, width)
