"""Rotations as matrices and wxyz quaternions, for arrays of any leading shape."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float64Array, FloatArray

FACING_CAMERA: Float64Array = np.diag([1.0, -1.0, -1.0])
"""(3, 3) R_cam_head of a head that faces the camera: from the head frame (y up, z out of the face) to OpenCV's (y down, z
forward). Its own inverse; read-only."""
FACING_CAMERA.setflags(write=False)


def from_axis_angle(rotvec: FloatArray) -> FloatArray:
    """Rotation matrices of rotation vectors (Rodrigues' formula).

    rotvec: (..., 3) radians times unit axis. Returns (..., 3, 3).
    """
    angle = np.linalg.norm(rotvec, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(rotvec, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*rotvec.shape[:-1], 3, 3)
    sine = np.sinc(angle / np.pi)
    half = np.sinc(angle / (2 * np.pi))
    return np.eye(3) + sine * cross + 0.5 * half**2 * (cross @ cross)


def to_axis_angle(matrix: FloatArray) -> FloatArray:
    """The shortest rotation vector of each matrix.

    matrix: (..., 3, 3). Returns (..., 3) radians, length at most pi.
    """
    quat = to_quat(matrix)
    quat = np.where(quat[..., :1] < 0, -quat, quat)
    sine = np.linalg.norm(quat[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quat[..., :1])
    return quat[..., 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)


def to_quat(matrix: FloatArray) -> FloatArray:
    """Unit quaternions of rotation matrices, by the largest of the four candidates (Shepperd 1978).

    matrix: (..., 3, 3). Returns (..., 4) wxyz.
    """
    m = matrix
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    p, q, r = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    squares = np.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], -1)
    rows = np.stack(
        [
            np.stack([squares[..., 0], a, b, c], -1),
            np.stack([a, squares[..., 1], p, q], -1),
            np.stack([b, p, squares[..., 2], r], -1),
            np.stack([c, q, r, squares[..., 3]], -1),
        ],
        -2,
    )
    best = squares.argmax(-1)[..., None, None]
    row = np.take_along_axis(rows, np.broadcast_to(best, (*squares.shape[:-1], 1, 4)), -2)[
        ..., 0, :
    ]
    return row / np.linalg.norm(row, axis=-1, keepdims=True)


def to_matrix(quat: FloatArray) -> FloatArray:
    """Rotation matrices of quaternions, which are normalised first.

    quat: (..., 4) wxyz. Returns (..., 3, 3).
    """
    w, x, y, z = np.moveaxis(quat / np.linalg.norm(quat, axis=-1, keepdims=True), -1, 0)
    return np.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ],
        -1,
    ).reshape(*quat.shape[:-1], 3, 3)


def multiply(first: FloatArray, second: FloatArray) -> FloatArray:
    """Hamilton products first * second: the rotation `second`, then `first`.

    first, second: (..., 4) wxyz. Returns (..., 4).
    """
    w, x, y, z = np.moveaxis(first, -1, 0)
    a, b, c, d = np.moveaxis(second, -1, 0)
    return np.stack(
        [
            w * a - x * b - y * c - z * d,
            w * b + x * a + y * d - z * c,
            w * c - x * d + y * a + z * b,
            w * d + x * c - y * b + z * a,
        ],
        -1,
    )


def from_euler_degrees(yaw: float, pitch: float, roll: float) -> FloatArray:
    """A head turn in the head frame: roll about z first, then pitch about x, then yaw about y.

    yaw > 0 turns the face to the picture's right, pitch > 0 tips it down, roll > 0 tilts it to the picture's left.
    Returns (3, 3).
    """
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = from_axis_angle(np.array([0.0, y, 0.0]))
    about_x = from_axis_angle(np.array([p, 0.0, 0.0]))
    about_z = from_axis_angle(np.array([0.0, 0.0, r]))
    return about_y @ about_x @ about_z
