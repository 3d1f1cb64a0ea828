"""Drawing a performance: an avatar that moves by itself, into a video."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from perse_live.animate import HeadPose, pose_gaussians, pose_vertices
from perse_live.arrays import Float32Array
from perse_live.avatar import Avatar
from perse_live.rotations import from_euler_degrees
from perse_live.splatting.backend import open_rasterizer
from runtime.performance import PerformanceFrame
from runtime.video import video_writer

_BACKGROUND = (0.80, 0.82, 0.84)  # a light grey, on which dark and fair hair both stand out
_FACING_CAMERA = np.diag([1.0, -1.0, -1.0])


def perform(avatar: Avatar, frames: Sequence[PerformanceFrame], output: Path, *, fps: float, size: int,
            progress: Callable[[int, int | None], None]) -> None:
    """Write a square video of an avatar that performs, framed as in its photo.

    fps: frames per second; size: pixels; progress: told how many frames are done and of how many.
    Raises UserError where the video cannot be written.
    """
    camera = avatar.source.camera.resized(size, size)
    threads = os.cpu_count() or 1
    rasterizer = open_rasterizer(size, size, device="auto", threads=threads)
    rate = Fraction(fps).limit_denominator(1001)
    with video_writer(output, width=size, height=size, rate=rate) as writer:
        for count, frame in enumerate(frames, 1):
            pose = performed_pose(avatar, frame)
            vertices = pose_vertices(avatar.rig, frame.expression, frame.gaze, pose)
            gaussians = pose_gaussians(vertices, avatar.rig, avatar.surface, avatar.rigid, avatar.opacities, avatar.colors, pose,
                                       threads=threads)
            writer.write(rasterizer.render(gaussians, camera, background=_BACKGROUND))
            progress(count, len(frames))


def performed_pose(avatar: Avatar, frame: PerformanceFrame) -> HeadPose:
    """Where a performance puts the head: facing the camera at rest, turning about the neck.

    The neck and the shoulders stay as they are in the photo.
    """
    source = avatar.source
    neck = source.R_cam_head @ avatar.rig.neck_pivot + source.t_cam_head
    rotation = _FACING_CAMERA @ from_euler_degrees(frame.yaw, frame.pitch, frame.roll)
    shift = neck - rotation @ avatar.rig.neck_pivot + _FACING_CAMERA @ frame.translation
    return HeadPose(_float32(rotation), _float32(shift), source.R_cam_head)


def _float32(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Float32Array:
    return np.ascontiguousarray(values, np.float32)
