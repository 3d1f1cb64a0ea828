"""Renders a scripted performance of an avatar into a video."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from perse_live.animate import HeadPose
from perse_live.avatar import Avatar, with_resting_lids
from perse_live.film.writer import film_writer
from runtime.performance import PerformanceFrame
from runtime.secondary_motion import SecondaryMotion
from runtime.stage import Motion, Stage, facing_pose

_BACKGROUND = (0.80, 0.82, 0.84)  # a light grey, on which dark and fair hair both stand out
_TO_CAMERA = np.array([1, -1, -1], np.float32)  # from the axes of a head that faces the camera


def perform(
    avatar: Avatar,
    frames: Sequence[PerformanceFrame],
    output: Path,
    *,
    fps: float,
    size: int,
    progress: Callable[[int, int | None], None],
) -> None:
    """Write a square video of an avatar that performs, framed as in its photo.

    fps: frames per second; size: pixels; progress: called with the number of finished frames and the total.
    Raises UserError where the video cannot be written.
    """
    camera = avatar.source.camera.resized(size, size)
    stage = Stage(avatar, camera, threads=os.cpu_count() or 1)
    rate, secondary = Fraction(fps).limit_denominator(1001), SecondaryMotion()
    with film_writer(output, width=size, height=size, rate=rate) as writer:
        for count, frame in enumerate(frames, 1):
            motion = performed(avatar, frame)
            motion = replace(motion, secondary=secondary.update(motion.pose, frame.time))
            writer.write(stage.draw(motion, background=_BACKGROUND))
            progress(count, len(frames))


def performed(avatar: Avatar, frame: PerformanceFrame) -> Motion:
    """Motion of an avatar in a frame of a performance."""
    return Motion(
        with_resting_lids(avatar, frame.expression), frame.gaze, performed_pose(avatar, frame)
    )


def performed_pose(avatar: Avatar, frame: PerformanceFrame) -> HeadPose:
    """Head pose in a frame of a performance: facing the camera at rest, turning about the neck.

    The neck and the shoulders stay as they are in the photo.
    """
    pose = facing_pose(avatar, yaw=frame.yaw, pitch=frame.pitch, roll=frame.roll)
    return replace(pose, t_cam_head=pose.t_cam_head + _TO_CAMERA * frame.translation)
