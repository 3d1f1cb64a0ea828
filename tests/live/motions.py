"""Motions and faces for the tests of the live session."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array
from perse_live.detect import Detection
from perse_live.rotations import from_euler_degrees, to_axis_angle
from runtime.tracker import TrackedFrame

FACING: Float32Array = np.diag([1.0, -1.0, -1.0]).astype(np.float32)


def turned(
    yaw: float,
    pitch: float = 0,
    roll: float = 0,
    *,
    strength: float = 0.0,
    shift: float = 0.0,
    gaze: float = 0.0,
    residual: float = 0.0,
    time: float = 0.0,
) -> TrackedFrame:
    """A motion: a head turned by degrees, all expressions, shifts (metres), gazes (radians) and residuals (metres) alike."""
    rotation = (FACING @ from_euler_degrees(yaw, pitch, roll)).astype(np.float32)
    return TrackedFrame(
        time,
        np.full(52, strength, np.float32),
        rotation,
        np.full(3, shift, np.float32),
        np.full((2, 2), gaze, np.float32),
        np.full((478, 3), residual, np.float32),
        1.0,
    )


def degrees_between(a: TrackedFrame, b: TrackedFrame) -> float:
    """How far one head is turned from the other."""
    return float(
        np.degrees(np.linalg.norm(to_axis_angle(a.R_cam_head.astype(np.float64) @ b.R_cam_head.T)))
    )


def face_at(x: float, y: float, size: float) -> Detection:
    """A detected face whose landmarks fill a square, pixels."""
    grid = np.stack(
        np.meshgrid(np.linspace(-0.5, 0.5, 22), np.linspace(-0.5, 0.5, 22)), -1
    ).reshape(-1, 2)[:478]
    grid[-1] = 0.5, 0.5
    landmarks = np.concatenate([grid * size + (x, y), np.zeros((478, 1))], 1).astype(np.float32)
    return Detection(landmarks, np.zeros(52, np.float32), np.eye(4, dtype=np.float32), 640, 480)
