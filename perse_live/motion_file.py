"""Recorded motion (.motion): a sequence of `perse_live.motion` messages with their landmark offsets.

A line of magic, a line of JSON, then records: a byte for the kind, the length as 4 bytes, little-endian, and the content. Offsets
are what a session draws beyond the 52 actions; they are differences to the last record's, in steps of 0.05 mm, packed by zlib.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from perse_live.arrays import Float32Array
from perse_live.checked import CheckedError, parse_json_object
from perse_live.errors import UserError
from perse_live.files import CREATOR
from perse_live.motion import MessageError, MotionDecoder, MotionEncoder, MotionState

MAGIC = b"perse-live motion 1\n"
SUFFIX = ".motion"
_LONGEST_HEADER = 1 << 16  # bytes
_OFFSETS = (478, 3)
_STEPS = 20_000  # of a metre: 0.05 mm
_MESSAGE, _OFFSET = 0, 1
_LONGEST_RECORD = 1 << 16  # bytes
_MAX_OFFSET = 1 << 15  # steps: what the writer clips to
_LONGEST_SECONDS = 7 * 24 * 3600.0
_BADGES = ("top-left", "top-right", "bottom-left", "bottom-right", "off")
# never a path: the picture behind an avatar is the owner's, and a recording may come from somebody else
_BACKGROUND = re.compile(r"[0-9a-f]{6}|green|photo|alpha|image")


@dataclass(frozen=True)
class MotionHeader:
    """Settings of the recorded session."""

    width: int
    """Of the pictures, pixels."""
    height: int
    fps: float
    """Target frame rate of the session."""
    badge: str
    """The badge's corner, or "off"."""
    background: str
    """Six hexadecimal digits of a colour, "green", "photo", "alpha", or "image" for a picture that is not in the file."""
    attributes: tuple[str, ...]
    """Names, in the order of the weights."""


@dataclass(frozen=True, eq=False)
class MotionFrame:
    """One frame of a recording."""

    time: float
    """Seconds since the first."""
    state: MotionState
    offsets: Float32Array
    """(478, 3) metres, head frame; as `runtime.stage.Motion.residual`."""


class MotionWriter:
    """Writes a recording to an open file."""

    def __init__(self, file: IO[bytes], header: MotionHeader) -> None:
        self._file, self._encoder, self._before = (
            file,
            MotionEncoder(),
            np.zeros(_OFFSETS, np.int64),
        )
        file.write(MAGIC + json.dumps({"creator": CREATOR, **vars(header)}).encode() + b"\n")

    def write(self, frame: MotionFrame) -> None:
        """Append a frame."""
        offsets = np.rint(frame.offsets * _STEPS).astype(np.int64).clip(-_MAX_OFFSET, _MAX_OFFSET)
        packed = zlib.compress((offsets - self._before).astype("<i4").tobytes(), 1)
        self._before = offsets
        self._record(_OFFSET, packed)
        self._record(_MESSAGE, self._encoder.encode(frame.state, frame.time))

    def _record(self, kind: int, content: bytes) -> None:
        self._file.write(bytes([kind]) + len(content).to_bytes(4, "little") + content)


def read_header(path: Path) -> MotionHeader:
    """Header of a recording. Raises UserError for another file."""
    with _opened(path) as file:
        return _header(file, path)


def read_motion(path: Path) -> Generator[MotionFrame, None, None]:
    """The frames of a recording, in order; a truncated one ends early. Raises UserError for another file."""
    with _opened(path) as file:
        header = _header(file, path)
        decoder, offsets = MotionDecoder(), np.zeros(_OFFSETS, np.int64)
        last = -1.0
        while len(head := file.read(5)) == 5:
            length = int.from_bytes(head[1:], "little")
            if length > _LONGEST_RECORD or head[0] not in (_MESSAGE, _OFFSET):
                raise UserError(f"{path} is damaged: record it again")
            content = file.read(length)
            if len(content) < length:
                return
            try:
                if head[0] == _OFFSET:
                    offsets = offsets + _unpacked(content)
                    if np.abs(offsets).max() > _MAX_OFFSET:
                        raise MessageError("has offsets out of range")
                    continue
                decoded = decoder.decode(content)
            except (MessageError, zlib.error) as error:
                raise UserError(
                    f"{path} is damaged (a message {error}): record it again"
                ) from error
            if decoded is None:
                continue
            state, time = decoded
            if len(state.weights) != len(header.attributes) or not last <= time <= _LONGEST_SECONDS:
                raise UserError(
                    f"{path} is damaged: its messages do not fit its header: record it again"
                )
            last = time
            yield MotionFrame(time, state, (offsets / _STEPS).astype(np.float32))


def _unpacked(content: bytes) -> np.ndarray:
    size = 4 * _OFFSETS[0] * _OFFSETS[1]
    data = zlib.decompressobj().decompress(content, size + 1)
    if len(data) != size:
        raise MessageError("has offsets of another size")
    return np.frombuffer(data, "<i4").reshape(_OFFSETS).astype(np.int64)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): give a recording by perse-live live --record ME{SUFFIX}"
        ) from error


def _header(file: IO[bytes], path: Path) -> MotionHeader:
    wrong = f"{path} is no recording of motion by this version of perse-live: make one by live --record ME{SUFFIX}"
    if file.read(len(MAGIC)) != MAGIC:
        raise UserError(wrong)
    try:
        found = parse_json_object(file.readline(_LONGEST_HEADER), max_bytes=_LONGEST_HEADER)
        header = MotionHeader(
            int(found["width"]),
            int(found["height"]),
            float(found["fps"]),
            str(found["badge"]),
            str(found["background"]),
            tuple(map(str, found["attributes"])),
        )
    except (CheckedError, KeyError, TypeError, ValueError) as error:
        raise UserError(wrong) from error
    if not (
        16 <= header.width <= 4096
        and 16 <= header.height <= 4096
        and header.width % 2 == header.height % 2 == 0
        and 1 <= header.fps <= 240
        and header.badge in _BADGES
        and _BACKGROUND.fullmatch(header.background)
    ):
        raise UserError(wrong)
    return header
