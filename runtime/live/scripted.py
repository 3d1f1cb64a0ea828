"""Scripted motion without a driver: idling or performing, repeated for as long as the session lasts."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import FloatArray
from perse_live.rotations import FACING_CAMERA, from_euler_degrees
from runtime.performance import PerformanceFrame, idling, performance
from runtime.presence import mixed
from runtime.tracker import TrackedFrame

_FPS = 30.0
_IDLE_SECONDS, _PERFORMANCE_SECONDS = 60.0, 45.0
_TO_CAMERA = np.array([1, -1, -1], np.float32)  # from the axes of a head that faces the camera


class Scripted:
    """A seamlessly repeated script, evaluated at any time."""

    def __init__(self, frames: tuple[PerformanceFrame, ...], neck_pivot: FloatArray) -> None:
        """frames: evenly spaced, starting and ending at rest; neck_pivot: (3,) metres, head frame."""
        self._frames = [_motion(frame, neck_pivot) for frame in frames]
        self._period = len(frames) * (frames[1].time - frames[0].time)

    def at(self, time: float) -> TrackedFrame:
        """The motion at a time, seconds: the head's turn from facing the camera, its shift from the resting place."""
        place = (time % self._period) / self._period * len(self._frames)
        index, share = int(place), place - int(place)
        count = len(self._frames)
        return mixed(self._frames[index % count], self._frames[(index + 1) % count], share)


def idle_script(neck_pivot: FloatArray) -> Scripted:
    """Breathing, blinking, small glances."""
    return Scripted(idling(_IDLE_SECONDS, _FPS), neck_pivot)


def performance_script(neck_pivot: FloatArray) -> Scripted:
    """Talking, looking around, laughing, turning, reacting."""
    return Scripted(performance(_PERFORMANCE_SECONDS, _FPS), neck_pivot)


def turned_on_neck(R_cam_head: FloatArray, neck_pivot: FloatArray) -> FloatArray:
    """How far the head's origin (between the eyes) moves when a head that faces the camera turns on its neck; (3,) metres."""
    return (FACING_CAMERA - R_cam_head) @ neck_pivot


def _motion(frame: PerformanceFrame, neck_pivot: FloatArray) -> TrackedFrame:
    rotation = FACING_CAMERA @ from_euler_degrees(frame.yaw, frame.pitch, frame.roll)
    shift = turned_on_neck(rotation, neck_pivot) + _TO_CAMERA * frame.translation
    return TrackedFrame(
        frame.time,
        frame.expression,
        rotation.astype(np.float32),
        shift.astype(np.float32),
        frame.gaze,
        np.zeros((478, 3), np.float32),
        1.0,
    )
