"""An avatar's motion as a stream of small messages: quantised, each the difference to the last key message.

A message that refers to a key message needs no other one, so that any may be lost or overtaken on the way. It holds 52 expression
values, gaze, poses of head and shoulders, secondary motion and attribute weights: a byte for the kind (0 key, 1 difference), then
numbers as LEB128: the key message's number, the milliseconds, in a key message the count of values, and the values as `_runs`
lays them out. `runtime/web/page/motion.js` decodes the same in a browser; `perse_live/motion_file.py` keeps them in a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perse_live.arrays import Float32Array
from perse_live.head.expressions import EXPRESSION_NAMES
from perse_live.rotations import from_axis_angle, to_axis_angle

KEY_SECONDS = 2.0
"""Between key messages: for as long a newcomer waits, or is without motion after a lost one."""
MAX_MESSAGE_ATTRIBUTES = 256
"""Of an avatar in a message."""
LONGEST_MESSAGE = 4096
"""Bytes; a key message with all attributes has fewer."""
_EXPRESSIONS = len(EXPRESSION_NAMES)
_UNIT_STEPS = 255  # of a value in [0, 1]
_ANGLE_STEPS = 8192  # of a radian: 0.007 degrees
_LENGTH_STEPS = 10_000  # of a metre: 0.1 mm
# Values: expression, gaze, head's rotation and place, shoulders' rotation, secondary
_PARTS = (_EXPRESSIONS, 4, 3, 3, 3, 4)
_FIXED = sum(_PARTS)
_MAX_ANGLE, _MAX_LENGTH = 4 * _ANGLE_STEPS, 20 * _LENGTH_STEPS
_KEY, _DIFFERENCE = 0, 1

Steps = NDArray[np.int64]


class MessageError(ValueError):
    """The message is invalid; the text says why in a few words."""


@dataclass(frozen=True, eq=False)
class MotionState:
    """State of an avatar at one moment."""

    expression: Float32Array
    """(52,) [0, 1]."""
    gaze: Float32Array
    """(2, 2) radians, as `runtime.stage.Motion`."""
    R_cam_head: Float32Array
    """(3, 3)."""
    t_cam_head: Float32Array
    """(3,) metres."""
    R_cam_body: Float32Array
    """(3, 3) of the shoulders."""
    secondary: Float32Array
    """(4,) as `runtime.stage.Motion`; zeros for none."""
    weights: Float32Array
    """(K,) [0, 1] of the attributes, in an order that both sides know."""


class MotionEncoder:
    """Encodes states as messages."""

    def __init__(self) -> None:
        self._key: Steps | None = None
        self._number, self._key_time = -1, 0.0
        self._key_message = b""

    @property
    def key_message(self) -> bytes:
        """The last key message, for receivers that join late or have lost it; empty before the first."""
        return self._key_message

    def encode(self, state: MotionState, time: float) -> bytes:
        """A state as a message. time: seconds since the stream began, growing."""
        steps = _steps(state)
        kind = _DIFFERENCE
        if (
            self._key is None
            or len(self._key) != len(steps)
            or time - self._key_time >= KEY_SECONDS
        ):
            self._key, self._key_time, kind = steps, time, _KEY
            self._number += 1
        head = bytes([kind]) + _varint(self._number) + _varint(round(1000 * time))
        if kind == _KEY:
            self._key_message = head + _varint(len(steps)) + _runs(steps)
            return self._key_message
        return head + _runs(steps - self._key)


class MotionDecoder:
    """Decodes messages to states."""

    def __init__(self) -> None:
        self._key: Steps | None = None
        self._number = -1

    def decode(self, message: bytes) -> tuple[MotionState, float] | None:
        """A state and its time in seconds; None where its key message was lost.

        Raises MessageError for what is no message of this kind.
        """
        if not 3 <= len(message) <= LONGEST_MESSAGE:
            raise MessageError(f"{len(message)} bytes long")
        numbers = _numbers(message[1:])
        number, time = next(numbers, 0), next(numbers, 0) / 1000
        if message[0] == _KEY:
            count = next(numbers, 0)
            if not _FIXED <= count <= _FIXED + MAX_MESSAGE_ATTRIBUTES:
                raise MessageError(f"{count} values in it")
            steps = _unrolled(numbers, count)
            state = _state(steps)
            if number >= self._number:  # else a newer one has overtaken it
                self._key, self._number = steps, number
            return state, time
        if message[0] != _DIFFERENCE:
            raise MessageError(f"of kind {message[0]}")
        if self._key is None or number != self._number:
            return None
        return _state(self._key + _unrolled(numbers, len(self._key))), time


def _steps(state: MotionState) -> Steps:
    """A state quantised to integer steps."""
    units = np.concatenate([state.expression, state.weights]).clip(0, 1) * _UNIT_STEPS
    rotations = to_axis_angle(np.stack([state.R_cam_head, state.R_cam_body]).astype(np.float64))
    parts = (
        units[:_EXPRESSIONS],
        state.gaze.reshape(4) * _ANGLE_STEPS,
        rotations[0] * _ANGLE_STEPS,
        state.t_cam_head * _LENGTH_STEPS,
        rotations[1] * _ANGLE_STEPS,
        state.secondary * _ANGLE_STEPS,
        units[_EXPRESSIONS:],
    )
    return np.rint(np.concatenate(parts)).astype(np.int64)


def _state(steps: Steps) -> MotionState:
    """Inverse of `_steps`. Raises MessageError for values out of range."""
    expression, gaze, head, place, body, secondary, weights = np.split(steps, np.cumsum(_PARTS))
    units = np.concatenate([expression, weights])
    angles = np.concatenate([gaze, head, body, secondary])
    if (
        units.min() < 0
        or units.max() > _UNIT_STEPS
        or np.abs(angles).max() > _MAX_ANGLE
        or np.abs(place).max() > _MAX_LENGTH
    ):
        raise MessageError("with a value out of range")
    rotations = from_axis_angle(np.stack([head, body]) / _ANGLE_STEPS).astype(np.float32)
    return MotionState(
        (expression / _UNIT_STEPS).astype(np.float32),
        (gaze / _ANGLE_STEPS).astype(np.float32).reshape(2, 2),
        rotations[0],
        (place / _LENGTH_STEPS).astype(np.float32),
        rotations[1],
        (secondary / _ANGLE_STEPS).astype(np.float32),
        (weights / _UNIT_STEPS).astype(np.float32),
    )


def _runs(values: Steps) -> bytes:
    """How many zeros, the value after them with its sign in the lowest bit, and so on; zeros at the end are left out."""
    found = bytearray()
    before = -1
    for place in np.nonzero(values)[0].tolist():
        value = int(values[place])
        found += _varint(place - before - 1) + _varint(2 * value if value > 0 else -2 * value - 1)
        before = place
    return bytes(found)


def _unrolled(numbers: Iterator[int], count: int) -> Steps:
    values = np.zeros(count, np.int64)
    place = -1
    for zeros in numbers:
        place += zeros + 1
        coded = next(numbers, None)
        if coded is None or place >= count:
            raise MessageError("cut off or too long")
        values[place] = -(coded + 1) // 2 if coded % 2 else coded // 2
    return values


def _varint(value: int) -> bytes:
    """A whole number >= 0, seven bits a byte, the lowest first (LEB128)."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _numbers(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 42:
            raise MessageError("with a number of more than 42 bits")
        if byte < 0x80:
            yield value
            value = shift = 0
    if shift:
        raise MessageError("cut off")
