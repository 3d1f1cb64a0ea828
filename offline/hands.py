"""Hands before the face, whose colours and edges would become the avatar's: by MediaPipe's HandLandmarker.

Its file is fetched by the commands that build; where it is not there, nothing is found.
"""

from __future__ import annotations

import cv2
import numpy as np

from perse_live.arrays import BoolArray, FloatArray, UInt8Array
from perse_live.assets import optional_asset_path
from perse_live.quiet import quiet_stderr

_MOST_HANDS = 4
_CONFIDENCE = 0.3  # of a palm and of its landmarks; hands against skin score low, and no other thing in a portrait looks like one
_FINGER_WIDTH = 0.3  # of the palm's width, between the first and the last knuckle


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
    from mediapipe.tasks.python.vision import HandLandmarksConnections as Connections

    rounded, across = points.astype(np.int32), float(np.linalg.norm(points[5] - points[17]))
    palm = {end for one in Connections.HAND_PALM_CONNECTIONS for end in (one.start, one.end)}
    cv2.fillConvexPoly(mask, cv2.convexHull(rounded[sorted(palm)]), 1)
    for bone in Connections.HAND_CONNECTIONS:
        if bone not in Connections.HAND_PALM_CONNECTIONS:
            ends = (rounded[bone.start].tolist(), rounded[bone.end].tolist())
            cv2.line(mask, *ends, 1, max(1, round(_FINGER_WIDTH * across)))
