"""Parts of the face as its landmarks outline them, filled."""

from __future__ import annotations

from offline.images import polygon
from perse_live.arrays import BoolArray, FloatArray
from perse_live.head.landmarks import FACE_OVAL, INNER_LIP_RING, LEFT_EYE, RIGHT_EYE


def face_oval(landmarks: FloatArray, shape: tuple[int, int]) -> BoolArray:
    """The face's outline filled. landmarks: (478, 2+) pixels. Returns (H, W)."""
    return polygon(landmarks[list(FACE_OVAL), :2], shape)


def eye_openings(landmarks: FloatArray, shape: tuple[int, int]) -> BoolArray:
    """(H, W) pixels between the lids. landmarks: (478, 2+) pixels."""
    return polygon(landmarks[list(LEFT_EYE), :2], shape) | polygon(
        landmarks[list(RIGHT_EYE), :2], shape
    )


def mouth_opening(landmarks: FloatArray, shape: tuple[int, int]) -> BoolArray:
    """(H, W) pixels between the lips. landmarks: (478, 2+) pixels."""
    return polygon(landmarks[list(INNER_LIP_RING), :2], shape)
