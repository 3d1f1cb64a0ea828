"""Secondary motion: lag of loose hair behind the head, and breathing.

Loose hair is a damped pendulum in the head's frame, driven by the head's accelerations and solved exactly between frames, so
that the motion is the same at any frame rate. Everything is a function of the poses and times given, and of nothing else.
"""

from __future__ import annotations

import numpy as np

from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array, Float64Array

# Of hair of 20 cm: sqrt(g / l) / 2 pi is 1.1; damping as a share of the critical one
_HERTZ, _DAMPING = (1.3, 0.35)
# Metres from the head's origin to the points that are followed, below it and behind it
_LENGTH, _DEPTH = (0.15, 0.10)
_LIMIT = 0.4  # radians, approached smoothly
_LONGEST_STEP = 0.25  # seconds without a frame after which the state is reset
# A calm adult's breath, and the share of it that is breathing in (about 14 a minute)
_BREATH_SECONDS, _INHALING = (4.3, 0.42)

# the head's origin, hair below it, and hair behind it; metres, head frame
_POINTS = np.array([[0, 0, 0], [0, -_LENGTH, 0], [0, 0, -_DEPTH]])


class SecondaryMotion:
    """The inputs of secondary motion for one head; not thread-safe."""

    def __init__(self) -> None:
        self._time: float | None = None
        self._places = np.zeros((3, 3))
        self._velocities, self._lag, self._lag_velocity = (
            np.zeros((3, 3)),
            np.zeros((3, 3)),
            np.zeros((3, 3)),
        )

    def update(self, pose: HeadPose, time: float) -> Float32Array:
        """`perse_live.correctives.SECONDARY_NAMES`, (4,), when the head is in a pose at a time, seconds, growing."""
        rotation = pose.R_cam_head.astype(np.float64)
        places = _POINTS @ rotation.T + pose.t_cam_head
        step = None if self._time is None else time - self._time
        if step is None or step > _LONGEST_STEP or step < 0:
            self._velocities[:], self._lag[:], self._lag_velocity[:] = 0, 0, 0
        elif step > 0:
            velocities = (places - self._places) / step
            self._lag_velocity -= velocities - self._velocities
            self._lag, self._lag_velocity = _swung(self._lag, self._lag_velocity, step)
            self._velocities = velocities
        self._places, self._time = places, time
        return np.array([*_angles(self._lag @ rotation), breath_at(time)], np.float32)


def breath_at(time: float) -> float:
    """How far the lungs are filled at a time in seconds, [0, 1]: in, out more slowly, and a short rest."""
    phase = (time / _BREATH_SECONDS) % 1.0
    share = (
        phase / _INHALING
        if phase < _INHALING
        else max(0.0, 1 - (phase - _INHALING) / (0.92 - _INHALING))
    )
    return share * share * (3 - 2 * share)


def _swung(
    lag: Float64Array, velocity: Float64Array, step: float
) -> tuple[Float64Array, Float64Array]:
    """A free damped oscillation after a step in seconds: x'' = -w^2 x - 2 d w x'."""
    frequency = 2 * np.pi * _HERTZ
    decay, turn = _DAMPING * frequency, frequency * np.sqrt(1 - _DAMPING**2)
    fade, cosine, sine = np.exp(-decay * step), np.cos(turn * step), np.sin(turn * step)
    speed = (velocity + decay * lag) / turn
    after = fade * (lag * cosine + speed * sine)
    return after, fade * turn * (speed * cosine - lag * sine) - decay * after


def _angles(lag: Float64Array) -> Float64Array:
    """Rotations about x, y and z that take the three points of the head as far as they lag behind, (3, 3) metres, head frame."""
    origin, below, behind = lag
    turned = np.array([-below[2] / _LENGTH, -(behind[0] - origin[0]) / _DEPTH, below[0] / _LENGTH])
    return _LIMIT * np.tanh(turned / _LIMIT)
