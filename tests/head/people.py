"""Faces made from the landmark model: what the detector would see of a known person in a known pose."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from perse_live.camera import Camera
from perse_live.detect import Detection
from perse_live.head import landmarks as lm
from perse_live.head.landmarks import FaceShape, LandmarkModel
from perse_live.head.rig import gaze_rotation

FACING_CAMERA = np.diag([1.0, -1.0, -1.0])
CAMERA = Camera.for_image(512, 512)


def seen(
    model: LandmarkModel,
    shape: FaceShape,
    expression: FloatArray,
    R_cam_head: FloatArray,
    t_cam_head: FloatArray,
    *,
    scores: FloatArray | None = None,
    gaze: FloatArray | None = None,
    camera: Camera = CAMERA,
) -> Detection:
    """A detection without error.

    scores: what the detector says of the expression, None for the truth; gaze: (2, 2) radians turns the irises, None leaves
    them to the expression.
    """
    points = shape.neutral_landmarks + np.tensordot(
        np.asarray(expression, np.float32), model.actions, 1
    )
    if gaze is not None:
        for iris, turn, center in zip(
            (lm.LEFT_IRIS, lm.RIGHT_IRIS), gaze_rotation(gaze), shape.eye_centers, strict=True
        ):
            points[list(iris)] = center + (turn @ np.array([0, 0, shape.eye_radius], np.float32))
    pixels = camera.project(points @ R_cam_head.T + t_cam_head)
    landmarks = np.concatenate([pixels, np.zeros((len(pixels), 1))], 1).astype(np.float32)
    said = np.asarray(expression if scores is None else scores, np.float32)
    return Detection(landmarks, said, np.eye(4, dtype=np.float32), camera.width, camera.height)


def degrees_apart(first: FloatArray, second: FloatArray) -> float:
    """Angle of the rotation between two rotation matrices."""
    cosine = (np.trace(first.T @ second) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def random_identity(
    rng: np.random.Generator, *, count: int = 20, deviation: float = 0.7
) -> Float32Array:
    """Identity coefficients of an ordinary person."""
    return rng.normal(0, deviation, count).astype(np.float32)
