"""Head poses of an avatar in its photo's camera, with fixed shoulders."""

from __future__ import annotations

import numpy as np

from perse_live.animate import HeadPose
from perse_live.arrays import FloatArray
from perse_live.avatar import Avatar
from perse_live.rotations import FACING_CAMERA, from_euler_degrees


def turned_pose(avatar: Avatar, yaw: float, pitch: float, roll: float) -> HeadPose:
    """The head turned about the neck from its pose in the photo; the shoulders stay.

    Degrees: yaw > 0 turns the face to the picture's right, pitch > 0 tips it down, roll > 0 tilts it to the picture's left; as
    `rotations.from_euler_degrees`, about the axes of the camera.
    """
    turn = FACING_CAMERA @ from_euler_degrees(yaw, pitch, roll) @ FACING_CAMERA
    return on_the_neck(avatar, turn @ avatar.source.R_cam_head)


def facing_pose(avatar: Avatar, *, yaw: float = 0, pitch: float = 0, roll: float = 0) -> HeadPose:
    """The head facing the camera, or turned by degrees as in `turned_pose`; the shoulders stay as in the photo."""
    return on_the_neck(avatar, FACING_CAMERA @ from_euler_degrees(yaw, pitch, roll))


def on_the_neck(avatar: Avatar, R_cam_head: FloatArray) -> HeadPose:
    """The head in another rotation (3, 3), the neck's pivot and the shoulders as in the photo."""
    source, pivot = avatar.source, avatar.rig.neck_pivot
    neck = source.R_cam_head @ pivot + source.t_cam_head
    return HeadPose(
        R_cam_head.astype(np.float32),
        (neck - R_cam_head @ pivot).astype(np.float32),
        source.R_cam_head,
    )
