"""Faces as the detector would report them, made up or found in the astronaut's portrait."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from skimage.data import astronaut

from perse_live.arrays import FloatArray, UInt8Array
from perse_live.camera import Camera
from perse_live.detect import Detection
from perse_live.head.landmarks import load_landmark_model
from perse_live.rotations import from_euler_degrees


def made_up_face(*, size: int = 512, yaw: float = 0, scores: FloatArray | None = None) -> Detection:
    """The average head before a camera, turned by degrees."""
    camera = Camera.for_image(size, size)
    turn = from_euler_degrees(yaw, 0, 0)
    points = load_landmark_model().neutral @ (np.diag([1.0, -1.0, -1.0]) @ turn).T + np.array(
        [0, 0, 0.9]
    )
    depth = (points[:, 2:] - 0.9) * camera.fx / 0.9
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = turn
    return Detection(
        np.concatenate([camera.project(points), depth], 1).astype(np.float32),
        np.zeros(52, np.float32) if scores is None else scores.astype(np.float32),
        matrix,
        size,
        size,
    )


def moved(face: Detection, by: FloatArray) -> Detection:
    """The same face elsewhere. by: (2,) or (478, 2) pixels."""
    landmarks = face.landmarks.copy()
    landmarks[:, :2] += by
    return replace(face, landmarks=landmarks)


def portrait(*, shift: int = 0, size: int = 240) -> UInt8Array:
    """The astronaut's face, moved sideways by pixels."""
    return np.ascontiguousarray(astronaut()[10 : 10 + size, 100 + shift : 100 + shift + size])
