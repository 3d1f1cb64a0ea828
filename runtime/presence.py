"""Motion while no face is seen, and shoulders that follow the head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from perse_live.rotations import FACING_CAMERA, from_axis_angle, to_axis_angle
from runtime.tracker import TrackedFrame

_HOLD_SECONDS, _RELAX_SECONDS, _RETURN_SECONDS = 0.5, 0.7, 0.25
_SHOULDER_SECONDS, _SHOULDER_SHARE = 0.8, 0.35


def at_rest(t_cam_head: Float32Array) -> TrackedFrame:
    """A head at rest that faces the camera; t_cam_head: (3,) metres."""
    return TrackedFrame(
        0.0,
        np.zeros(52, np.float32),
        FACING_CAMERA.astype(np.float32),
        t_cam_head,
        np.zeros((2, 2), np.float32),
        np.zeros((478, 3), np.float32),
        1.0,
    )


class Presence:
    """Motion while there is no face: holds the last pose briefly, then blends to rest, and back when a face returns."""

    def __init__(self, rest: Callable[[float, TrackedFrame | None], TrackedFrame]) -> None:
        """rest: motion at a time (seconds) without a face, given the last face."""
        self._rest = rest
        self._face: TrackedFrame | None = None
        self._shown: TrackedFrame | None = None
        # What was shown when the face went away or came back
        self._left: TrackedFrame | None = None
        self._away_since: float | None = None
        self._back_since, self._return_seconds = -np.inf, _RETURN_SECONDS

    @property
    def ever(self) -> bool:
        """Whether there was a face at any time."""
        return self._face is not None

    def holding(self, time: float) -> bool:
        """Whether a face was lost so lately that its last pose is still held."""
        return (
            self._away_since is not None and self.ever and time - self._away_since < _HOLD_SECONDS
        )

    def update(self, face: TrackedFrame | None, time: float) -> TrackedFrame:
        """Motion at a time, seconds, increasing."""
        if face is None:
            rest = self._rest(time, self._face)
            if self._away_since is None:
                self._away_since, self._left = time, self._shown
            away = time - self._away_since
            self._shown = (
                rest
                if self._left is None
                else mixed(self._left, rest, ease((away - _HOLD_SECONDS) / _RELAX_SECONDS))
            )
        else:
            if self._away_since is not None:
                self._back_since, self._left = time, self._shown
                self._return_seconds = min(_RETURN_SECONDS, time - self._away_since)
                self._away_since = None
            self._face = face
            share = ease((time - self._back_since) / max(self._return_seconds, 1e-6))
            self._shown = face if self._left is None else mixed(self._left, face, share)
        return self._shown


class Shoulders:
    """Rotation of the shoulders: follows the head with a delay and a gain below 1.

    A single photo says nothing of how somebody's shoulders move. People turn the head against resting shoulders for a moment, and
    bring the shoulders along when they stay turned.
    """

    def __init__(self, rest: FloatArray) -> None:
        """rest: (3, 3) the head's rotation in the photo, where head and shoulders agree by definition."""
        self._rest = rest.astype(np.float64)
        self._turn: FloatArray | None = None
        self._time = 0.0

    def update(self, R_cam_head: FloatArray, time: float) -> Float32Array:
        """The shoulders' rotation (3, 3) at a time, seconds, growing."""
        turn = to_axis_angle(R_cam_head @ self._rest.T)
        before = turn if self._turn is None else self._turn
        slow = before + (1 - np.exp(-(time - self._time) / _SHOULDER_SECONDS)) * (turn - before)
        self._turn, self._time = slow, time
        return (from_axis_angle(_SHOULDER_SHARE * slow) @ self._rest).astype(np.float32)


def ease(share: float) -> float:
    """0 to 1, slow at both ends (smoothstep); clamped."""
    x = min(max(share, 0.0), 1.0)
    return x * x * (3 - 2 * x)


def mixed(first: TrackedFrame, second: TrackedFrame, share: float) -> TrackedFrame:
    """Interpolation of two motions; share in [0, 1], larger values extrapolate."""
    if share == 1:
        return second

    def mix(a: Float32Array, b: Float32Array) -> Float32Array:
        return (a + (b - a) * np.float32(share)).astype(np.float32)

    turn = share * to_axis_angle(second.R_cam_head @ first.R_cam_head.T)
    return replace(
        second,
        expression=np.clip(mix(first.expression, second.expression), 0, 1),
        gaze=mix(first.gaze, second.gaze),
        R_cam_head=(from_axis_angle(turn) @ first.R_cam_head).astype(np.float32),
        t_cam_head=mix(first.t_cam_head, second.t_cam_head),
        residual=mix(first.residual, second.residual),
    )
