"""The view that all viewers are given: a head at the origin, a metre before a camera of 30 degrees, on white."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.rotations import FACING_CAMERA, from_euler_degrees, multiply, to_quat

WHITE = (1.0, 1.0, 1.0)
_FIELD_OF_VIEW = 30.0  # degrees, as in the pages
_DISTANCE = 1.0  # metres


def peer_camera(size: int) -> Camera:
    """Square, `size` pixels."""
    focal = size / 2 / np.tan(np.radians(_FIELD_OF_VIEW / 2))
    return Camera(size, size, focal, focal, size / 2, size / 2)


def seen(gaussians: Gaussians, yaw: float) -> Gaussians:
    """Gaussians (head frame) in the camera frame, the head turned by degrees about y."""
    turn = FACING_CAMERA @ from_euler_degrees(yaw, 0.0, 0.0)
    means = gaussians.means @ turn.T.astype(np.float32)
    means[:, 2] += _DISTANCE
    return replace(
        gaussians,
        means=means,
        quats=multiply(to_quat(turn).astype(np.float32), gaussians.quats).astype(np.float32),
    )
